import re

import pytest

from simulator.pattern import matching

PATTERNS = [
    r"^[A-Z]{2}-\d{4}$",
    r"^(red|green)(,(red|green))*$",
    r"^\+?[1-9]\d{1,14}$",
    r"^#(?:[0-9a-fA-F]{3}){1,2}$",
    r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
    r"^(?P<year>\d{4})-(?P<month>\d\d)$",
    r"[\w.-]+\.(?:png|jpe?g)",
    r"^[]a]\]$",
    r"^[a\-z]{3,5}?$",
    r"^\u0041\x42\/$",
    r"^.{12}$",
    r"^$",
    r"^[^a-z0-9]$",
    r"^a{0}b+?$",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_text_matches_the_pattern(pattern: str) -> None:
    text = matching(pattern)
    assert text is not None
    assert re.search(pattern, text)


def test_the_text_has_a_length_within_the_bounds() -> None:
    assert matching(r"^[a-z]+$", 7) == "aaaaaaa"
    assert matching(r"^(ab)*c?$", 5) == "ababc"
    assert matching(r"^[a-z]+$", 0, 0) is None
    assert matching(r"^abc$", 4) is None


@pytest.mark.parametrize(
    "pattern",
    [
        r"(",
        r"[a",
        r"a\\"[:-1],
        r"(?=a)",
        r"(a)\1",
        r"\p{L}",
        r"*",
        "a)",
        "(" * 2_000,
        "a{200}",
        "((a{99}){99}){99}",
        "a$b",
    ],
)
def test_a_pattern_that_it_does_not_know_gives_nothing(pattern: str) -> None:
    assert matching(pattern) is None
