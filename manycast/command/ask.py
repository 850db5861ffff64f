"""`ask` and `watch`: runs in a terminal. At Ctrl-C, `ask` offers to stop the run or to leave it running."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, TextIO

from contract.position import START
from manycast.client import Client
from manycast.client.errors import ConnectionLostError, ManycastError
from manycast.command.asker import Asker
from manycast.command.follow import SIMULATOR_OWNER, Follower
from manycast.command.terminal import Terminal
from manycast.exit_status import Exit

STOP_WORDS = frozenset({"s", "stop", "y", "yes"})
ENDINGS = {"cancelled": "stopped"}


async def ask(
    client: Client,
    body: Mapping[str, Any],
    terminal: Terminal,
    keyboard: TextIO,
    *,
    command: str,
    private: bool = False,
) -> Exit:
    """Submits the run and follows it. The run continues after this command, unless the person stops it.

    `command`: what to type to call `manycast`. If the run is a script's, the person at the keyboard can answer it.

    Raises: what `Client.submit` and `Client.watch` raise; BrokenPipeError.
    """
    simulated = await _simulated_models(client)
    stream = await client.submit(body, private=private)
    terminal.print_status(f"watch it at {stream.page_url}")
    with suppress(ManycastError):
        if not (await client.readiness()).get("workers", 1):
            terminal.print_status("no worker is running; the answer begins when one starts")
    async with _interrupts() as interrupted:
        ticket = stream.tickets.get("control") if private else None
        asker = Asker(client, stream, terminal, keyboard)
        following = _follow(client, stream.id, ticket, Follower(terminal, simulated, on_input=asker.take))
        async with _alongside(asker.run()):
            status = await _unless_interrupted(following, interrupted)
        if status is not None:
            return status
        interrupted.clear()
        terminal.end_line()
        if await _wants_to_stop(terminal, keyboard, interrupted):
            ending = await client.cancel(stream)
            terminal.print_status(f"the answer is {ENDINGS.get(ending, ending)}")
        else:
            terminal.print_status(f"the answer continues; watch it with: {command} watch {stream.page_url}")
        return Exit.INTERRUPTED


async def watch(client: Client, stream_id: str, terminal: Terminal, *, ticket: str | None = None) -> Exit:
    """Follows a run that was started elsewhere, from its first event to its end or to an interrupt.

    Raises: what `Client.watch` raises; BrokenPipeError.
    """
    # A handler of our own: a script starts its background jobs with SIGINT ignored, and asyncio.run leaves that so.
    async with _interrupts() as interrupted:
        status = await _unless_interrupted(_watch(client, stream_id, terminal, ticket), interrupted)
        return Exit.INTERRUPTED if status is None else status


async def _watch(client: Client, stream_id: str, terminal: Terminal, ticket: str | None) -> Exit:
    try:
        history_end = await client.last_position(stream_id, ticket=ticket)
    except ConnectionLostError:
        # Without the end of the history, the text of an abandoned earlier attempt may be printed.
        history_end = START
    follower = Follower(terminal, await _simulated_models(client), history_end)
    return await _follow(client, stream_id, ticket, follower)


async def _follow(client: Client, stream_id: str, ticket: str | None, follower: Follower) -> Exit:
    async with aclosing(client.watch(stream_id, ticket=ticket)) as events:
        return await follower.follow(events)


async def _simulated_models(client: Client) -> frozenset[str]:
    """Empty if the server cannot list its models: naming the simulator is optional."""
    with suppress(ManycastError):
        return frozenset(model.id for model in await client.models() if model.owned_by == SIMULATOR_OWNER)
    return frozenset()


async def _unless_interrupted(following: Coroutine[Any, Any, Exit], interrupted: asyncio.Event) -> Exit | None:
    """Returns what `following` returns; None if an interrupt comes first and cancels it."""
    tasks = asyncio.create_task(following), asyncio.create_task(interrupted.wait())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _alongside(asking: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(asking)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _interrupts() -> AsyncIterator[asyncio.Event]:
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupted.set)
    try:
        yield interrupted
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _wants_to_stop(terminal: Terminal, keyboard: TextIO, interrupted: asyncio.Event) -> bool:
    """Asks if there is a terminal to ask. A second interrupt leaves the run running, and so does no answer."""
    if not keyboard.isatty():
        return False
    terminal.prompt("[s]top the answer, or [l]eave it running? (l) ")
    loop = asyncio.get_running_loop()
    is_typed = asyncio.Event()
    loop.add_reader(keyboard.fileno(), is_typed.set)
    waits = [asyncio.create_task(event.wait()) for event in (is_typed, interrupted)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(keyboard.fileno())
        for wait in waits:
            wait.cancel()
    if not is_typed.is_set():
        terminal.end_prompt()
        return False
    # A terminal delivers whole lines, so this does not block.
    return os.read(keyboard.fileno(), 1024).decode("utf-8", "replace").strip().lower() in STOP_WORDS
