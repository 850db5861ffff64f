"""Which lines of the children a person sees without asking for all of them."""

import pytest

from manycast.local_stack.log_filter import LineFilter


@pytest.mark.parametrize(
    "line",
    [
        "WARNING:  something",
        "2026-11-22 10:00:00,123 ERROR gateway.fanout.hub: lost",
        "22:00:00 CRITICAL x",
        "7:M 22 Nov 2026 15:44:30.378 # Can't open the append-only file",
    ],
)
def test_a_warning_and_what_is_worse_is_urgent(line: str) -> None:
    assert LineFilter().is_urgent(line)


@pytest.mark.parametrize(
    "line",
    [
        "INFO:     Started server process [1]",
        "listening on http://127.0.0.1:1",
        "2026-11-22 10:00:00,123 DEBUG gateway.fanout.hub: subscribed",
        "7:M 22 Nov 2026 15:44:30.378 * Ready to accept connections tcp",
        "7:M 22 Nov 2026 15:44:30.378 # WARNING Memory overcommit must be enabled!",
    ],
)
def test_information_is_not_and_neither_is_advice_for_administrators(line: str) -> None:
    assert not LineFilter().is_urgent(line)


def test_what_a_script_prints_is_shown_and_what_a_program_says_of_its_start_is_not() -> None:
    lines = LineFilter()
    said = [
        "listening on x",
        "INFO: a",
        "hello",
        "",
        "  there",
        "INFO: b",
        "  c",
        "a.py:3: RuntimeWarning: x",
        "  code",
    ]
    shown = [False, False, True, True, True, False, False, True, True]
    assert [lines.is_urgent(line) for line in said] == shown


def test_what_a_script_prints_while_it_is_imported_is_shown() -> None:
    lines = LineFilter(says_how_it_starts=False)
    said = ["  loading", "hello", "INFO: worker started", "  more of it", "again"]
    assert [lines.is_urgent(line) for line in said] == [True, True, False, False, True]


def test_a_line_without_a_level_belongs_to_the_line_before_it() -> None:
    lines = LineFilter()
    said = ["INFO: a", "  more of a", "ERROR: b", "  Traceback:", "  File INFO x", "INFO: c", "  more of c"]
    assert [lines.is_urgent(line) for line in said] == [False, False, True, True, True, False, False]
