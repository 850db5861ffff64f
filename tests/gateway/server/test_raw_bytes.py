"""Whatever comes in at the port, the gateway lives on, serves others, and keeps nothing of it."""

import asyncio
import random
import re
import socket
import struct
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from contract.event import Status
from tests.author import Author
from tests.broker import Broker
from tests.gateway.dialects.test_registry import start
from tests.gateway.fanout.recording import attempt, chunk_of, done
from tests.gateway.server.raw_cases import Cases
from tests.stack import Gateway, closing_all
from tests.viewers import read_events, until

pytestmark = [
    pytest.mark.usefixtures("emptied"),
    pytest.mark.skipif(sys.platform != "linux", reason="it looks for connections and memory in /proc"),
]

WARM_UP = 160
CASES = 480
AT_ONCE = 40
GROWTH_LIMIT_BYTES = 12 << 20
ANSWER_WAIT_S = 0.2
RESET = struct.pack("ii", 1, 0)


def memory_bytes(gateway: Gateway) -> int:
    """With what it shares with other forks of its starter: a page that it begins to write to is no growth."""
    text = Path(f"/proc/{gateway.process.pid}/smaps_rollup").read_text()
    (kilobytes,) = re.findall(r"^Rss: +(\d+) kB", text, re.MULTILINE)
    return int(kilobytes) * 1024


def connections(gateway: Gateway) -> int:
    """Which the gateway has not closed. (Established, or closed by the other side alone.)"""
    port = f":{urlsplit(gateway.url).port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(cursor[1].endswith(port) and cursor[3] in ("01", "08") for cursor in rows)


async def send(gateway: Gateway, data: bytes, chance: random.Random) -> bytes:
    """In one or several pieces; then reads a little, or not at all, and leaves in one of several ways."""
    parts = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    answer = b""
    try:
        while data:
            size = chance.choice([len(data), len(data), chance.randint(1, len(data))])
            piece, data = data[:size], data[size:]
            writer.write(piece)
            async with asyncio.timeout(ANSWER_WAIT_S):
                await writer.drain()
        leaving = chance.choice(["read", "read", "half", "reset", "close"])
        if leaving == "half":
            writer.write_eof()
        if leaving in ("read", "half"):
            async with asyncio.timeout(ANSWER_WAIT_S):
                answer = await reader.read(1 << 16)
        if leaving == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    except (TimeoutError, OSError):
        pass
    finally:
        writer.transport.abort()
    return answer


async def storm(gateway: Gateway, cases: Cases, number: int, seed: int) -> None:
    for first in range(0, number, AT_ONCE):
        batch = [(cases.next(), random.Random(seed * number + first + at)) for at in range(AT_ONCE)]
        answers = await asyncio.gather(*(send(gateway, data, chance) for data, chance in batch))
        for (data, _), answer in zip(batch, answers, strict=True):
            for status in re.findall(rb"HTTP/1\.1 (\d+)", answer):
                assert int(status) < 500 or status == b"503", (data, answer)


@pytest.mark.parametrize(("seed", "protocol"), [(1, "direct"), (2, "httptools")])
async def test_no_bytes_bring_a_gateway_down_or_stay_with_it(
    broker: Broker, author: Author, seed: int, protocol: str
) -> None:
    gateway = Gateway(
        broker.url,
        MANYCAST_HTTP_PROTOCOL=protocol,
        MANYCAST_HEAD_TIMEOUT_S="1",
        MANYCAST_BODY_TIMEOUT_S="1",
        MANYCAST_KEEP_ALIVE_S="1",
        MANYCAST_LINGER_S="0.1",
    )
    with closing_all(gateway):
        async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
            run = await start(http, author)
        cases = Cases(seed, run.stream_id)
        await storm(gateway, cases, WARM_UP, seed)
        await until(lambda: connections(gateway) == 0)
        before = memory_bytes(gateway)
        await storm(gateway, cases, CASES, seed)
        await until(lambda: connections(gateway) == 0)
        grown = memory_bytes(gateway) - before
        assert grown < GROWTH_LIMIT_BYTES, f"grew by {grown >> 10} KiB"
        await run.write([*attempt([chunk_of({"content": "all"})]), done()], Status.COMPLETED)
        async with httpx2.AsyncClient(timeout=60) as http:
            events = await read_events(http, f"{gateway.url}/v1/streams/{run.stream_id}/events")
            assert (events.text, events.done["status"]) == ("all", "completed")
            await until(lambda: connections(gateway) <= 1)
            assert "manycast_viewers 0.0" in (await http.get(f"{gateway.url}/metrics")).text
        said = [line for line in gateway.output.splitlines() if "Invalid HTTP request" not in line]
        assert not [line for line in said if re.search("Traceback|ERROR|CRITICAL|Exception", line)], "\n".join(said)
