"""Makes text of others safe to print: in a log, one line of printable characters; on a terminal, no control sequence.

Pure: no I/O. "Others" are providers, models, callers, and the server that a command has asked.
"""

import re

JOINERS = "\u200c\u200d"
"""Some scripts, and emoji, need them within a word."""
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""They change the order in which a terminal or an editor shows the characters around them."""

_CONTROLS: dict[int, int | None] = {code: 0x2400 + code for code in range(0x20)}
_CONTROLS |= {0x7F: 0x2421, **dict.fromkeys(range(0x80, 0xA0), 0xFFFD), ord("\r"): None}
_CONTROLS |= dict.fromkeys(map(ord, BIDI_CONTROLS), 0xFFFD)
for _kept in "\n\t":
    del _CONTROLS[ord(_kept)]


def defang(text: str) -> str:
    """`text` with line ends and tabs, and symbols in place of all other control characters and of bidi controls."""
    return text.translate(_CONTROLS)


def escape(text: str) -> str:
    """`text` in one line: what is not printable is written as in a Python literal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in JOINERS else _escaped(char) for char in text)


def shorten(text: str, limit_chars: int) -> str:
    return text if len(text) <= limit_chars else f"{text[: limit_chars - 1]}…"


def one_line(text: str, limit_chars: int) -> str:
    """For a message on a terminal: `text` without line ends and control characters, and not longer than the limit."""
    return shorten(defang(_LINE_ENDS.sub(" ", text[: 2 * limit_chars])), limit_chars)


_LINE_ENDS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()
