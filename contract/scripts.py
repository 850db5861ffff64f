"""Runs the Lua scripts of contract/lua by name, many in one round trip. The callers interpret the replies."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple

from contract.cluster_slots import slot_of
from contract.connection import Client, tries
from contract.errors import BrokerError, BrokerRefusedError, BrokerUnavailableError
from contract.redis_server import (
    COMMAND_TIMEOUT_S,
    NoScriptError,
    Place,
    ReadOnlyError,
    RedirectedError,
    ResponseError,
    Server,
    connection_slot,
    translate,
)

_SHARED = {
    "answer": ("write_events", "line", "wake"),
    "append": ("write_events",),
    "cancel": ("beside", "line", "turns", "write_events", "close_run"),
    "claim": ("beside", "line", "turns", "write_events"),
    "delete_run": ("beside", "line", "turns"),
    "finish": ("write_events", "close_run"),
    "park": ("write_events", "line", "wake"),
    "read_viewers": ("sum_viewers",),
    "renew": ("sum_viewers",),
    "reserve": ("account",),
    "ring": ("beside", "line", "wake"),
    "settle": ("account",),
    "submit": ("beside", "line", "turns"),
}

_CHANNELS: dict[str, tuple[str | None, ...]] = {
    "answer": ("ARGV[1]", "ARGV[2]"),
    "append": ("ARGV[1]",),
    "cancel": ("ARGV[1]", "ARGV[2]"),
    "claim": ("ARGV[1]", "ARGV[2]"),
    "count_viewers": ("ARGV[1]",),
    "delete_run": ("ARGV[1]", "ARGV[2]"),
    "finish": ("ARGV[1]",),
    "park": ("ARGV[1]", "ARGV[2]"),
    "release": ("ARGV[1]", "ARGV[2]"),
    "revoke": ("ARGV[1]",),
    "ring": ("string.sub(KEYS[2], 1, -5) .. 'ID:live'", "ARGV[1]"),
    "submit": (None, "ARGV[1]"),
}
"""Where each script publishes: Lua expressions of the live channel of a stream, and of the control channel."""
_PUBLISH_LIVE = "redis.call('PUBLISH', live, "
_UNCHECKED = {"append": {"HMGET", "EXISTS", "XADD", "XACK", "XDEL"}}
"""Commands that a script calls before its first write, or never. Only the script of each chunk needs such savings."""
_COMMAND = re.compile(r"redis\.call\('([A-Z]+)'(?:, '([A-Z]+)')?")
_CHECK = """do
  local can_check, may = pcall(redis.acl_check_cmd, {needed})
  if can_check and not may then
    return redis.error_reply(table.concat({{ 'NOPERM this user of Redis lacks the right to', {needed} }}, ' '))
  end
end
"""
"""Redis before 7 cannot check, and Redis 8 checks no command without all its arguments: there the script runs."""

_LASTING = frozenset({"answer", "cancel", "claim", "delete_run", "finish", "park", "revoke", "submit"})
"""Scripts whose callers believe the reply and never look again. On a server that may be replaced, a replica must have
what they changed. What other scripts changed is written again if it is lost."""

Argument = str | bytes | int

PACKED_HEADS = 4096
"""More than a worker has runs at once. One takes about half a kilobyte."""
PACKED_NUMBERS = 4096


@dataclass(frozen=True)
class Script:
    """One atomic script: its text, and the SHA-1 digest that EVALSHA needs."""

    text: str
    digest: str


class Call(NamedTuple):
    """A script with its keys and arguments. All keys have the same hash tag.

    The channels on which it publishes are its first arguments. They are no keys, because a cluster that moves a slot
    refuses a script whose keys do not all exist, and a channel never does.
    """

    name: str
    keys: tuple[str, ...]
    arguments: Sequence[Argument]
    channels: tuple[str, ...] = ()


@cache
def load_script(name: str, publish: str = "PUBLISH") -> Script:
    """The script `contract/lua/{name}.lua`, after the shared functions that it uses. `publish`: the command for the
    channels of streams, as `Client.publish` has it.

    It begins with a check of its user's rights. Without it, a user who lacks a right would be refused after some of the
    writes: since Redis 7, a new user may run every command, but publish nothing.
    """
    parts = ("now_ms", *_SHARED.get(name, ()), name)
    text = "".join((files("contract") / "lua" / f"{part}.lua").read_text(encoding="utf-8") for part in parts)
    commands = {found for found in _COMMAND.findall(text) if found[0] not in {"PUBLISH", *_UNCHECKED.get(name, ())}}
    needed = [", ".join(f"'{word}'" for word in found if word) for found in sorted(commands)]
    text = text.replace(_PUBLISH_LIVE, f"redis.call('{publish}', live, ")
    for command, channel in zip((publish, "PUBLISH"), _CHANNELS.get(name, ()), strict=False):
        if channel is not None:
            needed.append(f"'{command}', {channel}, ''")
    text = "".join(check_right(one) for one in needed) + text
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def check_right(needed: str) -> str:
    """Lua that refuses a user who may not run a command. `needed`: it and its arguments, as Lua expressions."""
    return _CHECK.format(needed=needed)


async def run_calls(client: Client, calls: Sequence[Call]) -> list[Any]:
    """Runs all calls in one pipeline per server, in order, each atomic by itself. Returns their replies in that order.

    If Redis refuses a call, its reply is a BrokerRefusedError; if one of several servers is unavailable, the replies of
    its calls are BrokerUnavailableErrors. The other calls still run.

    Raises: BrokerUnavailableError if no call has a reply; some calls may have run even so. Each may be repeated.
    """
    if client.only is not None:
        replies = await _run_on(client.only, calls, client.publish)
        for reply in replies:
            if isinstance(reply, BrokerUnavailableError):
                raise reply
        return replies
    replies = await _run_on_all(client, calls)
    if replies and all(isinstance(reply, BrokerUnavailableError) for reply in replies):
        raise replies[0]
    return replies


async def run_call(client: Client, call: Call) -> Any:
    """One call. Raises: BrokerUnavailableError, BrokerRefusedError."""
    (reply,) = await run_calls(client, [call])
    if isinstance(reply, BrokerRefusedError):
        raise reply
    return reply


async def run_every_call(client: Client, calls: Sequence[Call]) -> list[Any]:
    """As `run_calls`. Raises: BrokerUnavailableError or BrokerRefusedError if any call failed."""
    replies = await run_calls(client, calls)
    for reply in replies:
        if isinstance(reply, BrokerError):
            raise reply
    return replies


async def run_everywhere(client: Client, call: Call) -> dict[Place, Any]:
    """Runs a call without keys on every server. Returns their replies; a refusal is a BrokerRefusedError.

    Raises: BrokerUnavailableError if one of them is.
    """
    places = await client.places()
    replies = await asyncio.gather(*(_run_on(client.server_at(place), [call], client.publish) for place in places))
    return {place: reply for place, (reply,) in zip(places, replies, strict=True)}


async def _run_on_all(client: Client, calls: Sequence[Call]) -> list[Any]:
    """Each call on the server of its first key. Calls of the same slot keep their order."""
    replies: list[Any] = [None] * len(calls)
    left: Sequence[int] = range(len(calls))
    # The nodes that take the next try of a slot which is moving to them.
    asked: dict[int, Place] = {}
    async for is_last in tries():
        groups: dict[tuple[Place, bool], list[int]] = {}
        for at in left:
            key = calls[at].keys[0]
            place = asked.get(slot_of(key))
            try:
                groups.setdefault((place or await client.place_of(key), place is not None), []).append(at)
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                replies[at] = error
        await asyncio.gather(
            *(
                _run_group(client, *group, [calls[at] for at in members], members, replies)
                for group, members in groups.items()
            )
        )
        asked.clear()
        redirected: set[int] = set()
        again = []
        for (place, _), members in groups.items():
            for at in members:
                key, reply = calls[at].keys[0], replies[at]
                if isinstance(reply, RedirectedError):
                    redirected.add(slot_of(key))
                    if new_place := client.follow(reply, place):
                        asked[slot_of(key)] = new_place
                if slot_of(key) in redirected:
                    # Also the later calls of its slot: they count on the ones before, and may safely run again.
                    again.append(at)
        if is_last or not again:
            break
        left = sorted(again)
    return replies


async def _run_group(  # noqa: PLR0917 - called in one place
    client: Client, place: Place, asking: bool, calls: Sequence[Call], members: Sequence[int], replies: list[Any]
) -> None:
    try:
        before_each = b"*1\r\n$6\r\nASKING\r\n" if asking else b""
        found = await _run_on(client.server_at(place), calls, client.publish, before_each)
    except BrokerUnavailableError as error:
        client.learn_soon()
        found = [error] * len(calls)
    for at, reply in zip(members, found, strict=True):
        replies[at] = reply
        if isinstance(reply, BrokerUnavailableError) and not isinstance(reply, RedirectedError):
            client.learn_soon()


async def _run_on(server: Server, calls: Sequence[Call], publish: str, before_each: bytes = b"") -> list[Any]:
    """Raises: BrokerUnavailableError."""
    async with connection_slot(server, COMMAND_TIMEOUT_S):
        before = server.standing and server.standing.known()
        replies, is_lasting = await _send(server, calls, publish, before_each)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            # Redis was restarted or replaced. All calls are repeated: one may have been refused because a call
            # before it did not run, and a call that did run may safely run again.
            await _load(server, {call.name for call in calls}, publish)
            replies, is_lasting = await _send(server, calls, publish, before_each)
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            # Redis is now a replica. A new connection asks again where the primary is.
            await server.drop_idle_connections()
    if not is_lasting:
        await server.outlast(before)
    return [translate(reply) if isinstance(reply, ResponseError) else reply for reply in replies]


async def _load(server: Server, names: set[str], publish: str) -> None:
    pipeline = server.pipeline(transaction=False)
    for name in names:
        pipeline.script_load(load_script(name, publish).text)
    # If Redis refuses a script here, the call of that script fails afterwards.
    await pipeline.execute(raise_on_error=False)


async def _send(server: Server, calls: Sequence[Call], publish: str, before_each: bytes) -> tuple[list[Any], bool]:
    """The replies, and whether they can be believed without `Server.outlast`."""
    if before_each:
        packed = b"".join(before_each + b"".join(_packed([call], publish)) for call in calls)
    else:
        packed = b"".join(_packed(calls, publish))
    count, is_lasting = len(calls) * (2 if before_each else 1), True
    if server.standing is not None and any(call.name in _LASTING for call in calls):
        replies, is_lasting = await server.exchange_lasting(packed, count)
    else:
        replies = await server.exchange(packed, count)
    return (replies[1::2] if before_each else replies), is_lasting


def _packed(calls: Sequence[Call], publish: str) -> Iterator[bytes]:
    """Each call as a RESP array of strings."""
    for name, keys, arguments, channels in calls:
        yield b"*%d\r\n" % (3 + len(keys) + len(channels) + len(arguments))
        yield _pack_head(name, publish, keys, channels)
        for part in arguments:
            if type(part) is bytes:
                yield b"$%d\r\n%b\r\n" % (len(part), part)
            elif type(part) is int:
                yield _pack_number(part)
            else:
                yield _pack_text(str(part))


@lru_cache(maxsize=PACKED_HEADS)
def _pack_head(name: str, publish: str, keys: tuple[str, ...], channels: tuple[str, ...]) -> bytes:
    """EVALSHA, the digest, the keys and the channels. Each batch of a stream has the same."""
    digest = load_script(name, publish).digest
    return b"".join(map(_pack_text, ("EVALSHA", digest, str(len(keys)), *keys, *channels)))


@lru_cache(maxsize=PACKED_NUMBERS)
def _pack_number(number: int) -> bytes:
    """Runs that began together are at the same seq, and have the same epoch and lifetime."""
    return _pack_text(str(number))


def _pack_text(text: str) -> bytes:
    encoded = text.encode()
    return b"$%d\r\n%b\r\n" % (len(encoded), encoded)
