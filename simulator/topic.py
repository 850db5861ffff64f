"""Extracts a title and four words from a prompt, without understanding it. No I/O."""

import re
import zlib
from dataclasses import dataclass

LONGEST_TITLE = 72
WORD = re.compile(r"[^\W\d_]{4,24}")
MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~&!])")
SAYS_NOTHING = frozenset(
    re.findall(
        r"\w+",
        """about after again also been before being between both could does each from give have here into just
        know like make many more most much need only other over please should show some such tell than that
        their them then there these they this those through under very want what when where which while will
        with would write your explain describe help""",
    )
)
SPARE_WORDS = ("goal", "limits", "people", "risk")


@dataclass(frozen=True, slots=True)
class Topic:
    """`title` is escaped for markdown. `words` are four different words in lower case, of letters only."""

    title: str
    words: tuple[str, str, str, str]
    fingerprint: int


def read_topic(prompt: str) -> Topic:
    # Replace half surrogate pairs of the prompt: only fault-surrogate may send one.
    clean = " ".join(prompt.encode("utf-8", "replace").decode().split())
    short = clean if len(clean) <= LONGEST_TITLE else clean[:LONGEST_TITLE].rsplit(" ", 1)[0] + "…"
    found = dict.fromkeys(word.lower() for word in WORD.findall(clean))
    telling = [word for word in found if word not in SAYS_NOTHING]
    first, second, third, fourth = [*telling, *(word for word in SPARE_WORDS if word not in telling)][:4]
    title = MARKDOWN.sub(r"\\\1", short) or "Hello"
    return Topic(title, (first, second, third, fourth), zlib.crc32(clean.encode()))
