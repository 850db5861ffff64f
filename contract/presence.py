"""The number of viewers of a stream. Each gateway reports its own count; the counts of a dead gateway expire."""

from collections.abc import Sequence
from typing import NamedTuple

from contract.connection import Client
from contract.errors import BrokerError
from contract.scripts import Call, run_call, run_calls


class Count(NamedTuple):
    """The viewers of one stream on one gateway. 0 removes the gateway's count."""

    stream_id: str
    viewers: int


class Sum(NamedTuple):
    """The viewers on all gateways. `untold`: a change is not published yet, so call again later."""

    viewers: int
    untold: bool


async def count_viewers(
    client: Client, gateway: str, counts: Sequence[Count], lifetime_ms: int, telling_ms: int
) -> list[Sum | None]:
    """Sets this gateway's counts for `lifetime_ms`. Publishes a changed sum, at most once in `telling_ms`.

    Returns None for a count that Redis has not taken. Raises: BrokerUnavailableError."""
    calls = []
    for count in counts:
        keys = client.key_space.stream(count.stream_id)
        arguments = (gateway, count.viewers, lifetime_ms, telling_ms)
        calls.append(Call("count_viewers", (keys.viewers,), arguments, (keys.live,)))
    replies = await run_calls(client, calls)
    return [None if isinstance(reply, BrokerError) else Sum(int(reply[0]), reply[1] == 1) for reply in replies]


async def read_viewers_by_gateway(client: Client, stream_id: str) -> dict[str, int]:
    """Raises: BrokerUnavailableError, BrokerRefusedError."""
    reply = await run_call(client, Call("read_viewers_by_gateway", (client.key_space.stream(stream_id).viewers,), ()))
    return {name.decode(): int(count) for name, count in zip(reply[::2], reply[1::2], strict=True)}


async def read_viewers(client: Client, stream_id: str) -> int:
    """Raises: BrokerUnavailableError, BrokerRefusedError."""
    return int(await run_call(client, Call("read_viewers", (client.key_space.stream(stream_id).viewers,), ())))
