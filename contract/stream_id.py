"""Creates and recognises the ids of streams. Pure: no I/O."""

import re
from secrets import token_urlsafe

_STREAM_ID = re.compile(r"[A-Za-z0-9_-]{20,64}")
_PRIVATE = "p_"
_UNLISTED = "s_"


def new_stream_id(*, private: bool) -> str:
    """A new id with 128 random bits, which cannot be guessed. Its prefix tells whether viewers need a ticket, so that a
    gateway need not ask Redis for each viewer."""
    return (_PRIVATE if private else _UNLISTED) + token_urlsafe(16)


def is_private(stream_id: str) -> bool:
    """Whether viewers of the stream need a ticket."""
    return stream_id.startswith(_PRIVATE)


def is_stream_id(text: str) -> bool:
    """Whether `text` has the form of a stream id: base64url. Our ids have 24 characters; later ones may have more."""
    return _STREAM_ID.fullmatch(text) is not None
