"""Scripts that tests run in a real worker. The worker loads this folder's copy of the file."""

import asyncio
import threading
import time
from pathlib import Path

from pydantic import BaseModel, Field, field_validator

from manycast.script import InputTimeoutError, Run, ScriptFailedError, ToolError, script

RELEASED = Path(__file__).with_name("_released")
KNOBS = {"chunks": 4, "seed": 7}


@script
async def three(run: Run) -> object:
    """Three steps; the last one is the answer."""
    run.system("You write haiku.")
    draft = await run.generate(f"A haiku about {run.text}", name="draft", model="demo-echo")
    await run.emit("drafted", {"length": len(draft.text)})
    await run.generate("Find its weakest line", name="critique", model="demo-fast", simulator=KNOBS)
    return await run.generate("Write it again", name="final", model="demo-fast", say=True, simulator=KNOBS)


@script
async def held(run: Run) -> object:
    """Three steps. It stops at the place that the request names, until the file RELEASED is there."""
    message = None
    for name in ("one", "two", "three"):
        await _hold(run, f"before {name}")
        step, _, after = run.request["hold"].rpartition(" ")
        stalls = step == f"in {name}" and not RELEASED.exists()
        message = await run.generate(
            f"Say {name}",
            name=name,
            model="fault-stall-middle" if stalls else "demo-fast",
            say=name == "three",
            simulator={**KNOBS, **({"fault_after": int(after)} if stalls else {})},
        )
    await _hold(run, "at the end")
    return message


async def _hold(run: Run, place: str) -> None:
    while run.request["hold"] == place and not RELEASED.exists():
        await asyncio.sleep(0.02)


@script
async def changing(run: Run) -> None:
    """One step. A test changes its name on the way."""
    await run.generate("Hello", name="old name", model="demo-fast", simulator=KNOBS)
    await _hold(run, "at the end")


class Order(BaseModel):
    """What a guest wants. Tea is sold in pairs, which no JSON schema says."""

    article: str
    count: int = Field(ge=1)

    @field_validator("count")
    @classmethod
    def _pairs(cls, count: int) -> int:
        if count % 2:
            raise ValueError("tea is sold in pairs")
        return count


@script
async def guest(run: Run) -> object:
    """Asks twice, with a step in between."""
    name = await run.input("Your name?")
    await run.generate(f"Greet {name}", name="greeting", model="demo-fast", simulator=KNOBS)
    order = await run.input("What would you like?", schema=Order)
    answer = await run.input("Are you sure?", choices=["yes", "no"])
    return f"{name}: {order.count} {article_of(order)}, {answer}"


def article_of(order: Order) -> str:
    """Its name. It fails if the order is no Order."""
    return order.article.upper()


@script
async def greets(run: Run) -> str:
    """Asks once."""
    return f"Hello, {await run.input('Your name?')}"


@script
async def patient(run: Run) -> str:
    """Does not wait for long."""
    try:
        return await run.input("Anybody?", timeout_s=0.5)
    except InputTimeoutError as error:
        return str(error)


@script
async def busy(run: Run) -> str:
    """Asks while another part has a step under way."""
    answer, step = await run.gather(_ask(run), _generate_slowly(run))
    return f"{answer}, {len(step) > 0}"


async def _ask(run: Run) -> str:
    return await run.input("Meanwhile?")


async def _generate_slowly(run: Run) -> str:
    knobs = {"chunks": 40, "chunks_per_s": 20}
    return str(await run.generate("Slowly", name="slow", model="demo-long", simulator=knobs))


@script
async def approving(run: Run) -> object:
    """A person approves what a model wants to do."""

    @run.tool
    async def delete_file(name: str) -> str:
        """Deletes a file."""
        if await run.input(f"Delete {name}?", choices=["yes", "no"]) == "no":
            raise ToolError("The user does not allow it.")
        return "deleted"

    return await run.generate("Delete the file.", model="demo-tools", tool_choice="required", rounds=1, simulator=KNOBS)


@script
async def stuck(run: Run) -> object:
    """Its tool never returns."""

    @run.tool
    def look_up(name: str) -> None:
        """Looks something up."""
        threading.Event().wait()

    return await run.generate("Look it up.", model="demo-tools", tool_choice="required", simulator=KNOBS)


@script
async def broken(run: Run) -> None:
    """Fails with an error of its own code."""
    await run.say("So far. ")
    raise KeyError("secret detail")


@script
async def reads_keyboard(run: Run) -> str:
    """Asks at a keyboard that a worker has not."""
    await run.say("So far. ")
    return input()  # noqa: ASYNC250 -- this is the fault


@script
async def returns_set(run: Run) -> object:
    """Returns what JSON does not have."""
    await run.say("So far. ")
    return {1}


@script
async def forgets_await(run: Run) -> object:
    """Returns a call that was never made."""
    return run.generate("Hello")


@script
async def exits(run: Run) -> None:
    """Raises what its user names, in a place that its user names: what would end the worker, or nobody expects."""
    name, _, place = run.text.partition(" ")
    errors = (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, Odd)
    error = {one.__name__: one for one in errors}[name]

    async def part() -> None:
        raise error()

    def called() -> None:
        raise error()

    match place:
        case "here":
            raise error()
        case "part":
            await run.gather(part(), asyncio.sleep(60))
        case "step":
            async with run.step("odd"):
                raise error()
        case "thread":
            await asyncio.to_thread(called)
        case "task":
            await asyncio.create_task(part())


class Odd(BaseException):
    """No Exception."""


@script
async def refuses(run: Run) -> None:
    """Fails with words."""
    raise ScriptFailedError("Ask for something else.")


@script
async def loops(run: Run) -> None:
    """Never ends by itself."""
    while True:
        await run.say("again ")


@script
async def asks(run: Run) -> object:
    """Asks the model that the user names."""
    return await run.generate("Hello", name="asked", model=run.text, say=True, simulator=run.request.get("simulator"))


@script
async def sends_no_json(run: Run) -> None:
    """Emits what JSON does not have."""
    await run.emit("strange", {1, 2})


@script
async def forgets(run: Run) -> None:
    """Does not await what it calls."""
    run.say("lost")  # type: ignore[unused-coroutine]


@script
async def says_no_text(run: Run) -> None:
    """Says what JSON does not have."""
    await run.say({1, 2})


@script
async def blocks(run: Run) -> str:
    """Does not give way to others for a while."""
    until = time.monotonic() + 2
    while time.monotonic() < until:
        pass
    return "done"


@script
async def waits(run: Run) -> None:
    """Waits for ever, and has a model answer meanwhile."""
    await run.gather(run.generate("Hello", model="fault-stall-middle"), _wait())


async def _wait() -> None:
    await asyncio.Event().wait()
