"""Splits text into pieces of about four characters, like the tokens of a model. No I/O."""

import re
from collections.abc import Iterator

# A word with the space before it, up to three digits, punctuation, underscores, or other whitespace.
# Each character belongs to exactly one piece, so the joined pieces are the text.
PIECE = re.compile(r"\s?[^\W\d_]+|\s?\d{1,3}|\s?[^\w\s]{1,4}|\s?_+|\s+")

LONGEST_WHOLE = 8
PART = 4


def split(text: str) -> Iterator[str]:
    """Yields non-empty pieces. Joined, they are exactly the text."""
    for match in PIECE.finditer(text):
        piece = match.group()
        if len(piece) <= LONGEST_WHOLE:
            yield piece
        else:
            yield from (piece[start : start + PART] for start in range(0, len(piece), PART))
