"""A task that a script has started itself, as far as the author sees it: like any other, but it ends no worker."""

import asyncio
import gc
import inspect
import json
import warnings
from collections.abc import AsyncIterator, Coroutine
from typing import Any, cast

import pytest

from manycast.script import Run, script
from manycast.script.testing import run_script
from worker.scripts.own_tasks import contain_own_tasks


@pytest.fixture
async def contained() -> AsyncIterator[None]:
    contain_own_tasks()
    yield
    asyncio.get_running_loop().set_task_factory(None)


pytestmark = pytest.mark.usefixtures("contained")


async def leave() -> None:
    raise SystemExit(3)


@script
async def leaves_task(run: Run) -> str:
    """Its task would end the process, and nobody looks at it."""
    task = asyncio.create_task(leave(), name="mine")
    await asyncio.wait([task])
    return f"{task.get_name()}: {task.exception()}"


async def test_what_would_end_the_process_is_an_error_of_the_task() -> None:
    told = await asyncio.create_task(run_script(leaves_task))
    assert told.answer == "mine: a task of the script has raised SystemExit"


@script
async def uses_tasks(run: Run) -> str:
    """Returns what one task returned, what another one raised, and what a third one did when it was cancelled."""

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def wait() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "cancelled"
        return ""

    waiting = asyncio.create_task(wait())
    unbegun = asyncio.create_task(double(1))
    unbegun.cancel()
    done = await asyncio.gather(double(2), fail(), unbegun, return_exceptions=True)
    waiting.cancel()
    return f"{done} {await waiting}"


async def test_other_tasks_are_as_they_were() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = await asyncio.create_task(run_script(uses_tasks))
        gc.collect()
    assert told.answer == "[4, ValueError('no'), CancelledError('')] cancelled"


async def test_tasks_outside_of_scripts_are_left_alone() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    assert asyncio.iscoroutine(task.get_coro())
    assert type(task.get_coro()).__name__ == "coroutine"
    await task


@script
async def looks_at_a_task(run: Run) -> list[str]:
    """Returns what a task group or a debugger asks: the states of the task, and the functions on its stack."""

    async def wait() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    coroutine = cast("Coroutine[Any, Any, None]", task.get_coro())
    states = [inspect.getcoroutinestate(coroutine)]
    await asyncio.sleep(0)
    states.append(inspect.getcoroutinestate(coroutine))
    stack = [frame.f_code.co_name for frame in task.get_stack()]
    task.cancel()
    await asyncio.wait([task])
    return [*states, inspect.getcoroutinestate(coroutine), *stack]


async def test_a_task_says_where_it_is() -> None:
    told = await asyncio.create_task(run_script(looks_at_a_task))
    assert json.loads(told.answer) == ["CORO_CREATED", "CORO_SUSPENDED", "CORO_CLOSED", "wait"]
