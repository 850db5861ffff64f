"""The subscription through every trouble of its connection: what it is told, it tells."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import pytest

from contract import subscription_line
from contract.connection import Client, call_redis, command_client
from contract.redis_server import Place
from contract.subscription import Subscription
from tests.broker import Broker

DEADLINE_S = 60.0
QUIET_S = 60.0
"""A watchdog that does not bark within a test."""

Told = tuple[str, str]


class RecordingListener:
    """A listener that records its calls."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._news = asyncio.Event()

    def on_payload(self, channel: str, payload: bytes) -> None:
        self._write("payload", f"{channel} {payload.decode()}")

    def on_confirmed(self, channel: str) -> None:
        self._write("confirmed", channel)

    def on_down(self, reason: str, channels: Collection[str]) -> None:
        assert channels
        self._write("down", reason)

    def _write(self, what: str, about: str) -> None:
        self.told.append((what, about))
        self._news.set()

    def count(self, what: str) -> int:
        return sum(1 for kind, _ in self.told if kind == what)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def subscribed(
    url: str, *channels: str, watchdog_s: float = QUIET_S
) -> AsyncIterator[tuple[Subscription, RecordingListener]]:
    listener = RecordingListener()
    kept = Subscription(url, listener, watchdog_s)
    for channel in channels:
        kept.want(channel)
    running = asyncio.create_task(kept.run())
    try:
        await listener.until(lambda: listener.count("confirmed") >= len(channels))
        yield kept, listener
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert running.cancelled()


async def listeners(client: Client, channel: str) -> int:
    _, count = await call_redis(client, "PUBSUB", "NUMSUB", channel)
    assert isinstance(count, int)
    return count


async def test_messages_after_the_confirmation_arrive_in_order(any_broker: Broker) -> None:
    client = command_client(any_broker.url)
    async with subscribed(any_broker.url, "a") as (_, listener):
        for number in range(50):
            await call_redis(client, "PUBLISH", "a", str(number))
        await listener.until(lambda: listener.count("payload") == 50)
        assert listener.told == [("confirmed", "a"), *(("payload", f"a {number}") for number in range(50))]
    await client.aclose()


async def test_a_channel_released_and_wanted_again_at_once_is_confirmed_again(broker: Broker) -> None:
    async with subscribed(broker.url, "a") as (kept, listener):
        kept.unwant("a")
        kept.want("a")
        await listener.until(lambda: listener.told == [("confirmed", "a")] * 2)


async def test_a_channel_is_left_however_often_it_was_wanted(broker: Broker, client: Client) -> None:
    async with subscribed(broker.url, "a", "b") as (kept, listener):
        kept.want("a")
        kept.unwant("a")
        kept.want("c")
        await listener.until(lambda: ("confirmed", "c") in listener.told)
        async with asyncio.timeout(DEADLINE_S):
            while await listeners(client, "a"):
                pass
        await call_redis(client, "PUBLISH", "a", "unheard")
        await call_redis(client, "PUBLISH", "b", "heard")
        await listener.until(lambda: listener.count("payload") == 1)
        assert listener.told[-1] == ("payload", "b heard")


async def test_a_channel_released_before_its_subscription_is_not_subscribed(broker: Broker, client: Client) -> None:
    async with subscribed(broker.url, "b") as (kept, listener):
        kept.want("a")
        kept.unwant("a")
        kept.want("c")
        await listener.until(lambda: ("confirmed", "c") in listener.told)
        assert ("confirmed", "a") not in listener.told
        assert await listeners(client, "a") == 0


async def test_after_a_cut_connection_every_channel_is_confirmed_again(any_broker: Broker) -> None:
    client = command_client(any_broker.url)
    async with subscribed(any_broker.url, "a", "b") as (_, listener):
        for cut in range(1, 4):
            listener.told.clear()
            assert await call_redis(client, "CLIENT", "KILL", "TYPE", "pubsub") == 1
            await listener.until(lambda: listener.count("confirmed") == 2)
            assert listener.told[0][0] == "down", cut
            assert sorted(listener.told[-2:]) == [("confirmed", "a"), ("confirmed", "b")]
    await client.aclose()


async def test_thousands_of_channels_come_back_after_a_cut(broker: Broker, client: Client) -> None:
    channels = [f"channel-{number}" for number in range(5000)]
    async with subscribed(broker.url, *channels) as (_, listener):
        await call_redis(client, "CLIENT", "KILL", "TYPE", "pubsub")
        await listener.until(lambda: listener.count("confirmed") == 2 * len(channels))


async def test_a_server_that_stops_and_starts_is_subscribed_again(fragile_broker: Broker) -> None:
    async with subscribed(fragile_broker.url, "a") as (_, listener):
        fragile_broker.kill()
        await listener.until(lambda: listener.count("down") >= 2)
        assert listener.count("confirmed") == 1
        fragile_broker.start()
        await listener.until(lambda: listener.count("confirmed") == 2)


async def test_a_half_open_connection_is_noticed(fragile_broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contract.redis_server.CONNECT_TIMEOUT_S", 0.1)
    async with subscribed(fragile_broker.url, "a", watchdog_s=0.1) as (_, listener):
        with fragile_broker.frozen():
            # Twice: the new connection is taken by the system, and greeted by nobody.
            await listener.until(lambda: listener.count("down") >= 2)
        await listener.until(lambda: listener.count("confirmed") >= 2)


async def test_a_quiet_connection_is_kept(broker: Broker, client: Client) -> None:
    async with subscribed(broker.url, "a", watchdog_s=0.25) as (kept, listener):
        kept.unwant("a")
        before = await pings(client)
        async with asyncio.timeout(DEADLINE_S):
            # The third comes only after the first two have been answered.
            while await pings(client) < before + 3:
                pass
        assert listener.count("down") == 0


async def test_a_process_that_was_busy_does_not_take_redis_for_silent(broker: Broker) -> None:
    async with subscribed(broker.url, "a", watchdog_s=0.2) as (_, listener):
        for _ in range(5):
            # The fault: nothing else runs in the loop meanwhile.
            time.sleep(0.6)  # noqa: ASYNC251
            for _ in range(3):
                await asyncio.sleep(0)
        assert listener.count("down") == 0


async def pings(client: Client) -> int:
    count = (await call_redis(client, "INFO", "commandstats")).get("cmdstat_ping", {}).get("calls", 0)
    assert isinstance(count, int)
    return count


async def test_a_refused_subscription_is_retried_with_pauses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked_at: list[float] = []

    async def refuse(reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        while b"SUBSCRIBE" not in await reader.read(4096):
            # redis-py says its name and version.
            line.write(b"+OK\r\n+OK\r\n")
        asked_at.append(asyncio.get_running_loop().time())
        line.write(b"-NOPERM no such channel for you\r\n")
        await line.drain()
        line.close()

    monkeypatch.setattr(subscription_line, "MAX_DELAY_S", QUIET_S)
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    listener = RecordingListener()
    kept = Subscription(url, listener, QUIET_S)
    kept.want("a")
    running = asyncio.create_task(kept.run())
    await listener.until(lambda: listener.count("down") == 6)
    running.cancel()
    await asyncio.wait([running])
    server.close()
    assert listener.told == [("down", "no such channel for you")] * 6
    said = [record.message for record in caplog.records if record.name == subscription_line.__name__]
    assert said == [f"subscription to {url.removeprefix('redis://').removesuffix('/0')} lost: no such channel for you"]
    # A pause is never shorter than half of what it is meant to be, whatever else the machine does.
    assert asked_at[-1] - asked_at[-2] >= 0.1


async def test_a_slot_that_moved_while_no_node_answers_is_asked_about_again() -> None:
    """The other channels of the line may have moved with it, and only this question finds them."""
    listener = RecordingListener()
    kept = Subscription("redis+cluster://127.0.0.1:1", listener, QUIET_S)
    # As the line itself does it when its server says that it no longer has the slot.
    line = kept._line_at(Place("redis://127.0.0.1:1"))
    for channel in ("mc:{p00}:moved:live", "mc:{p01}:other:live"):
        kept._wanted[channel] = line
        line.want(channel)
    kept.on_moved(line, ["mc:{p00}:moved:live"])
    running = asyncio.create_task(kept.run())
    await listener.until(lambda: listener.count("down") >= 2)
    assert kept._lost == {line: ["mc:{p00}:moved:live"]}
    running.cancel()
    await asyncio.wait([running])
