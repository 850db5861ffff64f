"""The values without parts that fit a JSON schema: numbers and texts. No I/O."""

import math
from typing import Any

from simulator.pattern import matching

LONGEST_TEXT = 10_000

FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "duration": "P1D",
    "email": "somebody@example.com",
    "idn-email": "somebody@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/",
    "iri": "https://example.com/",
    "iri-reference": "/",
    "uri-template": "/{id}",
    "uuid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "json-pointer": "/0",
    "relative-json-pointer": "0",
    "regex": "a+",
    "byte": "AAAA",
}


class Unfit(Exception):  # noqa: N818 - it carries the reason
    """No value of a reasonable size fits the schema, or it refers to nothing."""


def make_number(schema: dict[str, Any], whole: bool, turn: int) -> int | float:
    """Makes 3 or 2.5 plus `turn`, or a number near it if the bounds exclude that.

    Raises: Unfit if it finds none.
    """
    low = max(limit(schema, "minimum", -math.inf), limit(schema, "exclusiveMinimum", -math.inf))
    high = min(limit(schema, "maximum", math.inf), limit(schema, "exclusiveMaximum", math.inf))
    step = limit(schema, "multipleOf", 1 if whole else 0)
    if low > high:
        raise Unfit("no number is within its bounds")
    usual = (3 if whole else 2.5) + turn
    if usual > high:
        usual = high if low == -math.inf else low + (usual - low) % (math.floor(high - low) + 1)
    usual = max(usual, low)
    if step > 0:
        first = round(usual / step)
        candidates = [(first + offset) * step for offset in (0, 1, -1, 2, -2)]
    else:
        candidates = [usual, (low + high) / 2, usual + 1, usual - 1]
    for candidate in candidates:
        if not math.isfinite(candidate) or (whole and candidate != int(candidate)):
            continue
        if low <= candidate <= high and candidate not in (
            schema.get("exclusiveMinimum"),
            schema.get("exclusiveMaximum"),
        ):
            return int(candidate) if whole else candidate
    raise Unfit("no number is within its bounds")


def make_text(schema: dict[str, Any], word: str) -> str:
    """Makes an example of the format or the pattern, or the word, repeated or cut to the schema's length.

    Raises: Unfit if the text would be too long.
    """
    form = schema.get("format")
    if isinstance(form, str) and form in FORMATS:
        return FORMATS[form]
    least = limit(schema, "minLength", 0)
    if least > LONGEST_TEXT:
        raise Unfit(f"it requires a text of {least} characters")
    longest = limit(schema, "maxLength", LONGEST_TEXT)
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and (text := matching(pattern, int(least), int(longest))) is not None:
        return text
    repeated = " ".join([word] * (int(least) // (len(word) + 1) + 1))
    return repeated[: int(longest)].ljust(int(least), ".")


def limit(schema: dict[str, Any], name: str, otherwise: float) -> float:
    """The number of this name, or `otherwise`: in old drafts `exclusiveMinimum` may be a boolean."""
    value = schema.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
