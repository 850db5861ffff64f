"""Which slot of a cluster a key belongs to, and which key a command has. Pure: no I/O."""

from binascii import crc_hqx
from collections.abc import Sequence
from functools import lru_cache

SLOTS = 16384

_KEYLESS = frozenset(
    (
        *("ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "DEBUG", "ECHO", "FLUSHALL", "INFO", "KEYS"),
        *("LATENCY", "PING", "PUBLISH", "PUBSUB", "REPLICAOF", "ROLE", "SCAN", "SCRIPT", "TIME", "WAIT"),
    )
)
_WITH_SUBCOMMAND = frozenset({"XGROUP", "XINFO", "OBJECT", "MEMORY"})


def hash_tag(key: str) -> str:
    """What decides on the slot of a key: the text in its first braces, or all of it if they are empty or missing."""
    start = key.find("{")
    end = key.find("}", start + 1) if start >= 0 else -1
    return key[start + 1 : end] if end > start + 1 else key


@lru_cache(maxsize=4096)
def slot_of(key: str) -> int:
    """From 0 to 16383."""
    return crc_hqx(hash_tag(key).encode(), 0) % SLOTS


def key_of(command: Sequence[str | int]) -> str | None:
    """The first key of a command as Manycast uses it. None if any server may run it."""
    name = str(command[0]).upper()
    if name in _KEYLESS:
        return None
    if name in {"XREAD", "XREADGROUP"}:
        return str(command[command.index("STREAMS") + 1])
    if name in {"EVAL", "EVALSHA"}:
        return str(command[3]) if int(command[2]) else None
    return str(command[2 if name in _WITH_SUBCOMMAND else 1])
