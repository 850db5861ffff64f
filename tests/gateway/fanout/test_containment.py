"""A fault in one stream affects no other stream."""

import json
from typing import Self

import httpx2
import pytest

from contract.connection import command_client
from contract.live import LiveEvents
from contract.position import Position
from gateway.dialects.native import NativeDialect
from gateway.fanout.feed import Feed, FeedStatus
from gateway.fanout.replay_buffer import JOINED_KEPT, ReplayBuffer
from tests.author import open_run
from tests.broker import Broker, only_server
from tests.redis_keys import stream_keys
from tests.stack import Gateway
from tests.viewers import read_events


class Clumsy(NativeDialect):
    """Raises for some chunks."""

    def write_event(self, position: bytes, kind: bytes, data: bytes) -> bytes:
        if data == b"{}":
            raise ValueError("what is this?")
        return super().write_event(position, kind, data)


async def test_an_error_in_a_dialect_ends_its_own_feed_only() -> None:
    feed = Feed("x" * 22, Clumsy(), limit_bytes=1 << 20)
    feed.receive_batch(LiveEvents(b"0-0", [(b"1-1", b"chunk", b'{"a":1}')]))
    feed.receive_batch(LiveEvents(b"1-1", [(b"1-2", b"chunk", b"{}")]))
    assert feed.status is FeedStatus.BROKEN_OFF


class Uncopyable(NativeDialect):
    """Raises where no checkpoint can be made."""

    def __deepcopy__(self, _: dict[int, object]) -> Self:
        raise ValueError("no copy")


async def test_a_feed_that_cannot_keep_an_event_is_lost_and_has_no_hole() -> None:
    feed = Feed("x" * 22, Uncopyable(), limit_bytes=1 << 20)
    with pytest.raises(ValueError, match="no copy"):
        feed.receive_batch(LiveEvents(b"0-0", [(b"1-1", b"chunk", b"{}")]))
    feed.receive_batch(LiveEvents(b"1-1", [(b"1-2", b"chunk", b"{}")]))
    assert (feed.status, feed.buffer.end) == (FeedStatus.LOST, 0)


def test_a_buffer_keeps_few_joined_slices() -> None:
    buffer = ReplayBuffer(limit_bytes=1 << 24)
    for seq in range(1, 301):
        buffer.append(Position(1, seq), b"x" * 1000)
    taken = {index: buffer.take(index) for index in range(300)}
    assert all(taken.values())
    again = [buffer.take(index) is taken[index] for index in range(300)]
    assert sum(again) <= JOINED_KEPT


async def test_foreign_messages_on_a_channel_stop_no_gateway(gateway: Gateway, broker: Broker) -> None:
    client = command_client(broker.url)
    async with open_run(broker.url) as run, httpx2.AsyncClient(timeout=60) as http:
        await run.begin()
        url = f"{gateway.url}/v1/streams/{run.stream_id}/events"
        assert len((await read_events(http, url, cut_after=1)).logged) == 1
        live = stream_keys(run.stream_id).live
        for payload in (b"!\nping x", b"!\nping {}", b"x", b"x\ny z {}", b"1-1\n1-x chunk {}", b"\n", b"!\nviewers"):
            await only_server(client).publish(live, payload)
        await run.say("after")
        await run.end()
        response = await read_events(http, url)
        assert [frame.id for frame in response.logged] == ["1-1", "1-2", "1-3"]
    assert "this gateway exits" not in gateway.output
    await client.aclose()


async def test_half_a_surrogate_pair_in_a_request_is_a_400(gateway: Gateway) -> None:
    async with httpx2.AsyncClient(timeout=60) as http:
        body = '{"messages":[{"role":"user"}],"manycast":{"\\ud800":1}}'
        answer = await http.post(f"{gateway.url}/v1/streams", content=body)
    assert answer.status_code == 400
    assert json.loads(answer.content)["error"]["code"] == "unknown_parameter"
