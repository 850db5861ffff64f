"""Submits runs to a worker and reads their logs, as a gateway does."""

import asyncio
import contextlib
import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

from contract.connection import Client, call_redis
from contract.errors import BrokerUnavailableError
from contract.event import Event, Kind, merge_chunk
from contract.job_queue import JobQueue, Policy, Submission, Submitted
from contract.position import START
from contract.stream_id import new_stream_id
from contract.stream_log import StreamLog
from tests.redis_keys import stream_keys
from tests.stack import Part

DEADLINE_S = 60.0
LIFETIME_MS = 600_000
T = TypeVar("T")


async def until(ask: Callable[[], T], told: Callable[[], str] = str) -> T:
    """The first true answer. Raises: AssertionError after the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, told()
        await asyncio.sleep(0.01)
    return answer


class Caller:
    """Submits runs and reads their logs."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.queue = JobQueue(client, LIFETIME_MS)
        self.log = StreamLog(client, LIFETIME_MS)

    async def submit(
        self, model: str, *, on_lost: str = "restart", prompt: str = "Hello", endpoint: str = "", **fields: Any
    ) -> str:
        """The id of the new stream."""
        stream_id = new_stream_id(private=False, partition=await self.queue.choose_partition(None))
        # The simulator tells a repeated request by its bytes: the user keeps runs apart.
        body = {"messages": [{"role": "user", "content": prompt}], "user": stream_id, **fields}
        if model:
            body["model"] = model
        submission = Submission(
            stream_id, json.dumps(body).encode(), model, Policy(on_lost), "digest", endpoint=endpoint
        )
        answer, _ = await self.queue.submit(submission, 10_000)
        assert answer is Submitted.OK
        return stream_id

    async def events(self, stream_id: str) -> list[Event]:
        return [event async for event in self.log.read(stream_id, START)]

    async def events_until(self, stream_id: str, enough: Callable[[list[Event]], bool]) -> list[Event]:
        """The log, as soon as it holds enough. Raises: AssertionError after the deadline."""
        deadline = time.monotonic() + DEADLINE_S
        events: list[Event] = []
        while True:
            # A test may have stopped Redis.
            with contextlib.suppress(BrokerUnavailableError):
                events = await self.events(stream_id)
                if enough(events):
                    return events
            assert time.monotonic() < deadline, events[-3:]
            await asyncio.sleep(0.01)

    async def run(self, model: str, **fields: Any) -> list[Event]:
        """The whole log of a new run of that model."""
        return await self.finished(await self.submit(model, **fields))

    async def finished(self, stream_id: str) -> list[Event]:
        return await self.events_until(stream_id, has_done)

    async def meta(self, stream_id: str) -> dict[str, str]:
        fields = await call_redis(self.client, "HGETALL", stream_keys(stream_id).meta)
        return {name.decode(): value.decode(errors="replace") for name, value in fields.items()}


def has_done(events: list[Event]) -> bool:
    return bool(events) and events[-1].kind is Kind.DONE


def has_chunks(count: int) -> Callable[[list[Event]], bool]:
    return lambda events: sum(event.kind is Kind.CHUNK for event in events) >= count


def done(events: list[Event]) -> dict[str, Any]:
    """The data of `done`, which must be the last event and the only one of its kind."""
    assert [event.kind for event in events].count(Kind.DONE) == 1
    assert events[-1].kind is Kind.DONE
    found: dict[str, Any] = json.loads(events[-1].data)
    return found


def chunks(events: list[Event]) -> list[dict[str, Any]]:
    """The provider's chunks of the last epoch. Raises: AssertionError where a position is missing."""
    shared: dict[str, Any] = {}
    found: list[dict[str, Any]] = []
    epoch = events[-1].position.epoch
    last = [event for event in events if event.position.epoch == epoch]
    assert [event.position.seq for event in last] == list(range(1, len(last) + 1))
    for event in last:
        data = json.loads(event.data)
        if event.kind is Kind.START:
            shared = data["chunk"]
        elif event.kind is Kind.CHUNK:
            found.append(merge_chunk(shared, data))
    return found


def text(events: list[Event]) -> str:
    """The text of choice 0."""
    choices = [choice for chunk in chunks(events) for choice in chunk["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices if choice["index"] == 0)


def counts(provider_url: str, model: str) -> dict[str, int]:
    """The simulator's statistics of the requests for that model."""
    with urllib.request.urlopen(f"{provider_url}/simulator/stats", timeout=5) as answer:
        found: dict[str, int] = json.load(answer)["models"].get(model, {})
        return found


async def until_logged(worker: Part, words: str) -> None:
    await until(lambda: words in worker.output, lambda: worker.output)
