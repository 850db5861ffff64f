"""Real topologies for the tests of one module, and work that goes on while they change."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from contract.connection import Client, call_redis
from contract.errors import BrokerUnavailableError
from contract.scripts import Call, run_call

DEADLINE_S = 60.0

T = TypeVar("T")
Step = Callable[[], Awaitable[object]]


def announce_call(tag: str, worker: str = "w") -> Call:
    """A script of two keys in one slot, which may be repeated."""
    return Call("announce", (f"test:{{{tag}}}:workers", f"test:{{{tag}}}:offers"), (worker, 60_000, "{}"))


async def until_answered(client: Client, call: Call) -> object:
    """The first reply, as a caller gets it that repeats what is temporarily impossible. Other errors are raised."""
    return await repeat(lambda: run_call(client, call))


async def until_available(client: Client, *command: str) -> object:
    """The same for one command."""
    return await repeat(lambda: call_redis(client, *command))


async def repeat(step: Callable[[], Awaitable[T]]) -> T:
    """The first result of a step that is not temporarily impossible."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await step()
            except BrokerUnavailableError:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def repeating(step: Step) -> AsyncIterator[list[object]]:
    """Repeats a step all the time. Yields the list of its results, in order. A failed step fails the test."""
    results: list[object] = []

    async def go_on() -> None:
        while True:
            results.append(await step())

    task = asyncio.create_task(go_on())
    try:
        yield results
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def until(holds: Callable[[], bool]) -> None:
    """Waits for a condition on results that another task adds."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.01)
