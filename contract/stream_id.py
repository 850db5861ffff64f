"""Creates and recognises the ids of streams. Pure: no I/O."""

import re
from functools import lru_cache
from secrets import token_urlsafe

_STREAM_ID = re.compile(r"[A-Za-z0-9_-]{20,64}")
_OURS = re.compile(r"[ps]_([0-9a-f]{2})")
_PRIVATE = "p_"
_UNLISTED = "s_"


def new_stream_id(*, private: bool, partition: int = 0) -> str:
    """A new id with 128 random bits, which cannot be guessed. Its prefix tells whether viewers need a ticket, so that a
    gateway need not ask Redis for each viewer. Two hexadecimal digits then name the partition."""
    return f"{_PRIVATE if private else _UNLISTED}{partition:02x}{token_urlsafe(16)}"


def is_private(stream_id: str) -> bool:
    """Whether viewers of the stream need a ticket."""
    return stream_id.startswith(_PRIVATE)


@lru_cache(maxsize=4096)
def partition_of(stream_id: str) -> int:
    """The partition in which everything of the stream is kept. Ids that we did not make belong to partition 0."""
    match = _OURS.match(stream_id)
    return 0 if match is None else int(match[1], 16)


def is_stream_id(text: str) -> bool:
    """Whether `text` has the form of a stream id: base64url. Our ids have 26 characters; later ones may have more."""
    return _STREAM_ID.fullmatch(text) is not None
