"""The name of every key and channel that Manycast uses in Redis. Pure: no I/O.

The part of a key in braces is its hash tag: a Redis Cluster keeps all keys with the same tag on one node, and a script
may use keys of one tag only. docs/protocol.md, section 6, lists all keys.
"""

import re
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from contract.stream_id import partition_of

WORKERS_GROUP = "workers"
PREFIX = "mc"
PREFIX_LIMIT_CHARS = 64
PARTITIONS_LIMIT = 256
"""Two hexadecimal digits name a partition."""
_PREFIX = re.compile(r"[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)*")


@dataclass(frozen=True, slots=True)
class Partitions:
    """`keyed`: idempotency keys are distributed among the first so many."""

    count: int
    keyed: int

    def choose(self) -> int:
        """The partition of a run without an idempotency key."""
        return secrets.randbelow(self.count)

    def choose_by(self, digest: str) -> int:
        """The partition of an idempotency key, by its digest in hex."""
        return int(digest[:8], 16) % self.keyed


class StreamKeys(NamedTuple):
    """The keys and the channel of one stream."""

    log: str
    meta: str
    live: str
    viewers: str


class AccountKeys(NamedTuple):
    """The keys of one caller: contract/accounts.py."""

    open: str
    bytes: str
    expiry: str


class QueueKeys(NamedTuple):
    """What a partition has besides its streams."""

    jobs: str
    turns: str
    alarms: str
    recent: str
    tag: str
    """The beginning of every key of the partition."""

    def backlog(self, digest: str) -> str:
        """Holds a caller's runs that wait for its next turn. contract/lua/turns.lua makes it. `digest` is the SHA-256
        of the caller's name, in hex."""
        return f"{self.tag}backlog:{digest}"

    def once(self, digest: str) -> str:
        """Holds the run of an idempotency key. `digest` is its SHA-256 in hex, so that no caller chooses a Redis
        key."""
        return f"{self.tag}once:{digest}"


@dataclass(frozen=True, slots=True)
class KeySpace:
    """All keys of one deployment. Deployments with different prefixes share nothing on the same database."""

    prefix: str = PREFIX
    wanted_partitions: int | None = None
    """None: as many as Redis has stored."""

    def stream(self, stream_id: str) -> StreamKeys:
        return _stream_keys(self.prefix, partition_of(stream_id), stream_id)

    def stream_of(self, partition: int, stream_id: str) -> StreamKeys:
        """For an id that may be missing: keys in the partition of its job."""
        return _stream_keys(self.prefix, partition, stream_id)

    def queue(self, partition: int) -> QueueKeys:
        return _queue_keys(self.prefix, partition)

    def queue_of(self, stream_id: str) -> QueueKeys:
        """Of the stream's partition."""
        return _queue_keys(self.prefix, partition_of(stream_id))

    @property
    def workers(self) -> str:
        return self._shared("workers")

    @property
    def offers(self) -> str:
        return self._shared("offers")

    @property
    def signing(self) -> str:
        return self._shared("signing")

    @property
    def partitions(self) -> str:
        return self._shared("partitions")

    @property
    def control(self) -> str:
        """A channel."""
        return self._shared("control")

    def account(self, digest: str) -> AccountKeys:
        """`digest` is the SHA-256 of the caller's name, in hex."""
        return _account_keys(self.prefix, digest)

    def chat(self, digest: str) -> str:
        """Holds the last turn of a chat. `digest` is the SHA-256 of the chat's id, in hex."""
        return f"{self.prefix}:{{{digest}}}:chat"

    def bucket(self, digest: str) -> str:
        """Counts the requests of a caller or an address. `digest` is the SHA-256 of its name, in hex."""
        return f"{self.prefix}:{{{digest}}}:bucket"

    def ended_session(self, digest: str) -> str:
        """Says that a session was ended. `digest` is the SHA-256 of the session's id, in hex."""
        return f"{self.prefix}:{{{digest}}}:ended"

    def _shared(self, name: str) -> str:
        """What belongs to no stream and to no caller has a tag of its own."""
        return f"{self.prefix}:{{shared}}:{name}"


USUAL_KEYS = KeySpace()


def is_live(channel: str) -> bool:
    """Whether it is the channel of a stream: on a cluster, only the node of its slot knows it."""
    return channel.endswith(":live")


def check_prefix(text: str) -> str:
    """Raises: ValueError for a prefix that would not be safe in keys, channels and patterns of Redis's ACL."""
    if len(text) > PREFIX_LIMIT_CHARS or not _PREFIX.fullmatch(text):
        raise ValueError(
            f"expected up to {PREFIX_LIMIT_CHARS} letters, digits, '_', '.' and '-', with single colons between them"
        )
    return text


@lru_cache(maxsize=4096)
def _stream_keys(prefix: str, partition: int, stream_id: str) -> StreamKeys:
    head = f"{_tag(prefix, partition)}{stream_id}:"
    return StreamKeys(f"{head}log", f"{head}meta", f"{head}live", f"{head}viewers")


@lru_cache(maxsize=1024)
def _queue_keys(prefix: str, partition: int) -> QueueKeys:
    tag = _tag(prefix, partition)
    return QueueKeys(f"{tag}jobs", f"{tag}turns", f"{tag}alarms", f"{tag}recent", tag)


@lru_cache(maxsize=1024)
def _account_keys(prefix: str, digest: str) -> AccountKeys:
    tag = f"{prefix}:{{{digest}}}:"
    return AccountKeys(f"{tag}open", f"{tag}bytes", f"{tag}expiry")


def _tag(prefix: str, partition: int) -> str:
    return f"{prefix}:{{p{partition:02x}}}:"
