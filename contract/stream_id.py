"""Ids of streams: made, recognised, and what they say. Pure: no I/O."""

import re
from secrets import token_urlsafe

_STREAM_ID = re.compile(r"[A-Za-z0-9_-]{20,64}")
_PRIVATE = "p_"
_UNLISTED = "s_"


def new_stream_id(*, private: bool) -> str:
    """An id that is never used again, with 128 random bits: nobody can guess it. It says who may watch, so that nobody
    need ask Redis for every viewer of a stream that is open to all who know it."""
    return (_PRIVATE if private else _UNLISTED) + token_urlsafe(16)


def is_private(stream_id: str) -> bool:
    """Whether its viewers need a ticket."""
    return stream_id.startswith(_PRIVATE)


def is_stream_id(text: str) -> bool:
    """Whether `text` has the form of a stream id: base64url. We make 24 characters; more may come."""
    return _STREAM_ID.fullmatch(text) is not None
