"""Many large answers in many dialects: the gateway's memory stays within its budget, and no viewer misses anything."""

import asyncio
import re
from collections.abc import Iterator

import httpx2
import pytest

from tests.author import Author, Run
from tests.broker import Broker
from tests.gateway.fanout.recording import attempt, chunk_of
from tests.stack import Gateway, closing_all

pytestmark = pytest.mark.usefixtures("emptied")

BUDGET_BYTES = 4 << 20
STREAMS = 4
WORDS = 2_000
PIECE = "word " * WORDS
PIECES = 150
DIALECTS = ("native", "openai", "text", "ui")


@pytest.fixture(scope="module")
def tight(broker: Broker) -> Iterator[Gateway]:
    settings = {"MANYCAST_BUFFER_BUDGET_BYTES": str(BUDGET_BYTES), "MANYCAST_LINGER_S": "60"}
    with closing_all(gateway := Gateway(broker.url, **settings)):
        yield gateway
        assert "Traceback" not in gateway.output


async def buffered(http: httpx2.AsyncClient) -> int:
    text = (await http.get("/metrics")).text
    (value,) = re.findall(r"^manycast_buffer_bytes (\S+)$", text, re.MULTILINE)
    return int(float(value))


async def read_slowly(http: httpx2.AsyncClient, run: Run, dialect: str, begun: asyncio.Event, go: asyncio.Event) -> int:
    """How often the word came, for a viewer that first reads little and then waits."""
    count, held = 0, b""
    async with http.stream("GET", f"/v1/streams/{run.stream_id}/events", params={"dialect": dialect}) as answer:
        async for piece in answer.aiter_bytes():
            held += piece
            count += held.count(b"word ")
            held = held[held.rfind(b"word ") + 5 :] if b"word " in held else held[-5:]
            begun.set()
            await go.wait()
    return count


async def test_slow_viewers_of_large_answers_cost_no_more_than_the_budget(tight: Gateway, author: Author) -> None:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=tight.url, timeout=60, limits=limits) as http:
        runs = [await author.start() for _ in range(STREAMS)]
        for run in runs:
            await run.write(attempt([chunk_of({"content": PIECE})]))
        go, begun = asyncio.Event(), [asyncio.Event() for _ in range(STREAMS * len(DIALECTS))]
        watched = [(run, dialect) for run in runs for dialect in DIALECTS]
        reading = [
            asyncio.create_task(read_slowly(http, *each, sign, go)) for each, sign in zip(watched, begun, strict=True)
        ]
        await asyncio.gather(*(each.wait() for each in begun))
        highest = 0
        for _ in range(PIECES - 1):
            for run in runs:
                await run.say(PIECE)
            highest = max(highest, await buffered(http))
        for run in runs:
            await run.end()
        go.set()
        assert set(await asyncio.gather(*reading)) == {PIECES * WORDS}
        assert BUDGET_BYTES / 2 < highest <= BUDGET_BYTES * 17 / 16 + 100_000
