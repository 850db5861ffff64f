"""Text of others is shown, and does nothing."""

import unicodedata

import pytest

from contract.printable import BIDI_CONTROLS, JOINERS, defang, escape, one_line

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]


@pytest.mark.parametrize("show", [defang, escape, lambda text: one_line(text, 100)])
def test_no_control_character_and_no_bidi_control_remains(show: object) -> None:
    assert callable(show)
    for char in (*CONTROLS, *BIDI_CONTROLS):
        shown = show(f"a{char}b")
        allowed = "\n\t" if show is defang else "\t"
        assert not set(shown) & (set(CONTROLS) | set(BIDI_CONTROLS)) - set(allowed), repr(char)


def test_every_bidi_control_of_unicode_is_known() -> None:
    named = ("LEFT-TO-RIGHT ", "RIGHT-TO-LEFT ", "POP DIRECTIONAL ", "FIRST STRONG ISOLATE", "ARABIC LETTER MARK")
    found = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"]
    assert {char for char in found if unicodedata.name(char, "").startswith(named)} == set(BIDI_CONTROLS)


@pytest.mark.parametrize("text", ["Grüße, 你好, שלום", "👩\u200d🚀", "a\tb\nc"])
def test_an_answer_keeps_its_letters_lines_and_tabs(text: str) -> None:
    assert defang(text) == text


def test_a_message_is_one_short_line() -> None:
    assert one_line("a\r\nb\u2028c\x85d\x1e", 100) == "a b c d "
    assert one_line("x" * 1_000, 10) == "x" * 9 + "…"
    assert escape("a\nb\ud800") == r"a\nb\ud800"
    assert escape(f"a{JOINERS}b") == f"a{JOINERS}b"


def test_what_a_terminal_would_obey_is_shown() -> None:
    # Titles, the clipboard, the cursor: a model's words, or a stranger's prompt, must not reach them.
    assert defang("\x1b]52;c;Zm9v\x07 a\r\nb\tc\x9b2J\x7f") == "␛]52;c;Zm9v␇ a\nb\tc\ufffd2J␡"
