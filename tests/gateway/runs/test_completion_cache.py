"""`GET …/completion` of large answers: folded once, sent from one copy, within a budget."""

import asyncio
import gc
from collections.abc import Iterator

import httpx2
import pytest

from contract.connection import Client, call_redis
from contract.errors import BrokerUnavailableError
from contract.event import Status
from contract.limits import PAGE_LIMIT_EVENTS
from gateway.http.memory_budget import MemoryBudget
from gateway.runs.completion_cache import CompletionCache, FoldedRun
from tests.author import Author, Run
from tests.broker import Broker
from tests.gateway.fanout.recording import attempt, chunk_of, done
from tests.gateway.server.raw_line import RawLine
from tests.stack import Gateway, closing_all

BUDGET_BYTES = 12 << 20
LARGE = "x" * (1 << 20)


@pytest.fixture(scope="module")
def small_gateway(broker: Broker) -> Iterator[Gateway]:
    gateway = Gateway(broker.url, MANYCAST_COMPLETION_BUDGET_BYTES=str(BUDGET_BYTES), MANYCAST_KEEP_ALIVE_S="60")
    with closing_all(gateway):
        yield gateway
        assert "Traceback" not in gateway.output


async def ended_run(author: Author, *texts: str) -> Run:
    run = await author.start()
    chunks = [chunk_of({"content": text}) for text in texts]
    await run.write([*attempt(chunks), done()], Status.COMPLETED)
    return run


def path_of(run: Run) -> str:
    return f"/v1/streams/{run.stream_id}/completion"


def ask(gateway: Gateway, run: Run) -> RawLine:
    """A client that reads nothing yet. Its completion is larger than the buffers between it and the gateway."""
    line = RawLine(gateway)
    line.send(f"GET {path_of(run)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    line.wait_for_answer()
    return line


async def pages_read(client: Client) -> int:
    stats = await call_redis(client, "INFO", "commandstats")
    return int(stats.get("cmdstat_xrange", {"calls": 0})["calls"])


async def test_many_requests_for_one_answer_read_its_log_once(
    small_gateway: Gateway, author: Author, client: Client
) -> None:
    run = await ended_run(author, *["word "] * 100)
    before = await pages_read(client)
    async with httpx2.AsyncClient(base_url=small_gateway.url, timeout=60) as http:
        answers = await asyncio.gather(*[http.get(path_of(run)) for _ in range(40)])
        answers.append(await http.get(path_of(run)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["choices"][0]["message"]["content"] == "word " * 100
    assert answers[0].json()["manycast"]["stream"] == run.stream_id
    assert await pages_read(client) - before == 102 // PAGE_LIMIT_EVENTS + 1


async def test_a_completion_beyond_the_budget_waits_for_those_that_are_being_sent(
    small_gateway: Gateway, author: Author
) -> None:
    large, other, small = [await ended_run(author, *[LARGE] * size) for size in (10, 9, 1)]
    async with httpx2.AsyncClient(base_url=small_gateway.url, timeout=60) as http:
        with ask(small_gateway, large) as slow, ask(small_gateway, large) as second:
            refused = await http.get(path_of(other))
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "gateway_busy")
            assert "MANYCAST_COMPLETION_BUDGET_BYTES" in refused.json()["error"]["message"]
            assert refused.headers["retry-after"]
            assert (await http.get(path_of(small))).status_code == 200
            for line in (slow, second):
                assert line.read_to_end().count(b"x") > len(LARGE) * 10
        await until_served(http, path_of(other))


async def test_a_client_that_leaves_makes_room(small_gateway: Gateway, author: Author) -> None:
    large, other = [await ended_run(author, *[LARGE] * size) for size in (10, 9)]
    async with httpx2.AsyncClient(base_url=small_gateway.url, timeout=60) as http:
        ask(small_gateway, large).close()
        await until_served(http, path_of(other))


async def test_one_completion_may_be_larger_than_the_budget(small_gateway: Gateway, author: Author) -> None:
    run = await ended_run(author, *[LARGE] * 13)
    async with httpx2.AsyncClient(base_url=small_gateway.url, timeout=60) as http:
        for _ in range(2):
            answer = await http.get(path_of(run))
            assert len(answer.json()["choices"][0]["message"]["content"]) == 13 * len(LARGE) > BUDGET_BYTES


async def until_served(http: httpx2.AsyncClient, path: str) -> None:
    async with asyncio.timeout(60):
        while (await http.get(path)).status_code != 200:
            await asyncio.sleep(0.05)


async def test_the_error_of_a_fold_that_nobody_waits_for_any_more_is_not_logged() -> None:
    cache = CompletionCache(BUDGET_BYTES, "BUDGET", MemoryBudget(BUDGET_BYTES))
    begun = asyncio.Event()
    logged: list[str] = []
    never: asyncio.Future[FoldedRun] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context["message"]))

    async def fold() -> FoldedRun:
        begun.set()
        try:
            return await never
        finally:
            # What a fold uses may fail while it is cancelled.
            raise BrokerUnavailableError("while it ends")

    async def ask_for_it() -> None:
        async with cache.use("run", fold):
            pass

    asking = asyncio.create_task(ask_for_it())
    await begun.wait()
    asking.cancel()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait(others)
    del asking, others
    gc.collect()
    assert logged == []
