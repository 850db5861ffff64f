"""The name of every key and channel that Manycast uses in Redis. Pure: no I/O.

The braces are a hash tag: all keys of one stream live in one slot. docs/protocol.md, section 6, lists them.
"""

from functools import lru_cache
from typing import NamedTuple

JOBS = "mc:jobs"
WORKERS_GROUP = "workers"
WORKERS = "mc:workers"
OFFERS = "mc:offers"
TURNS = "mc:turns"
CONTROL = "mc:control"
RECENT = "mc:recent"
ALARMS = "mc:alarms"
SIGNING = "mc:signing"


class StreamKeys(NamedTuple):
    """The keys of one stream."""

    log: str
    meta: str
    live: str
    viewers: str

    @classmethod
    @lru_cache(maxsize=4096)
    def of(cls, stream_id: str) -> "StreamKeys":
        prefix = f"mc:{{{stream_id}}}:"
        return cls(f"{prefix}log", f"{prefix}meta", f"{prefix}live", f"{prefix}viewers")


def once_key(digest: str) -> str:
    """Holds the run of an idempotency key. `digest` is its SHA-256 in hex, so that no caller chooses a Redis key."""
    return f"mc:once:{{{digest}}}"


def backlog_key(digest: str) -> str:
    """Holds a caller's runs that wait for its next turn. contract/lua/turns.lua makes it. `digest` is as in
    `caller_key`. It has no hash tag of its own: it must live beside the queue."""
    return f"mc:backlog:{digest}"


def chat_key(digest: str) -> str:
    """Holds the last turn of a chat. `digest` is the SHA-256 of the chat's id, in hex."""
    return f"mc:chat:{{{digest}}}"


def bucket_key(digest: str) -> str:
    """Counts the requests of a caller or an address. `digest` is the SHA-256 of its name, in hex."""
    return f"mc:bucket:{{{digest}}}"


def ended_session_key(digest: str) -> str:
    """Says that a session was ended. `digest` is the SHA-256 of the session's id, in hex."""
    return f"mc:ended:{{{digest}}}"


def stored_key(digest: str) -> str:
    """Counts the bytes that Redis holds for a caller. `digest` is the SHA-256 of the caller's name, in hex."""
    return f"mc:stored:{{{digest}}}"


def caller_key(digest: str) -> str:
    """Holds the ids of a caller's current runs. `digest` is the SHA-256 of the caller's name, in hex."""
    return f"mc:caller:{{{digest}}}"
