"""Starts, watches and stops the parts of `manycast up` in the right order.

For production use `docker-compose.yml`.
"""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Any

from contract.prompts import SCRIPT_PREFIX
from manycast.client import Client
from manycast.client.errors import ManycastError
from manycast.exit_status import Exit
from manycast.local_stack.broker import forget_workers, lock_data, plan_broker, wait_for_broker
from manycast.local_stack.child import Program
from manycast.local_stack.nearby import find_nearby_address
from manycast.local_stack.plan import Plan, gateway_program, script_check, simulator_program, worker_program
from manycast.local_stack.port import check_port, free_port
from manycast.local_stack.reloader import Reloader
from manycast.local_stack.screen import Screen
from manycast.local_stack.supervisor import Supervisor

POLL_S = 0.05
READY_LIMIT_S = 60.0
EXTERNAL_BROKER_LIMIT_S = 5.0
STOP_ORDER = ("gateway", "worker", "simulator", "valkey")
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- the loopback address reaches a wildcard listener
CALLER_SETTINGS = ("MANYCAST_KEYS", "MANYCAST_KEYS_FILE", "MANYCAST_PASSWORD", "MANYCAST_USER_HEADER")


class NotReadyError(Exception):
    """All processes run, but the stack is not ready. The message says what is missing."""


async def run_stack(plan: Plan, screen: Screen) -> Exit:
    """Runs until SIGINT, SIGTERM or SIGHUP, or until a part cannot run. Stops all processes before it returns.

    Raises: PortError, BrokerError, NotReadyError, RestartLimitError, OSError.
    """
    port = check_port(plan.host, plan.port, plan.started_with)
    async with AsyncExitStack() as exit_stack:
        lock = None if plan.redis_url else await exit_stack.enter_async_context(lock_data(plan.data))
        stack = Stack(screen)
        exit_stack.enter_context(stack.handle_signals())
        exit_stack.push_async_callback(stack.end)
        await stack.run_until_stopped(_start_parts(plan, port, lock, stack, screen))
    return Exit.COMPLETED


async def _start_parts(plan: Plan, port: int, lock: int | None, stack: "Stack", screen: Screen) -> None:
    """Starts each part when its dependencies are ready, and prints the addresses."""
    if plan.redis_url:
        redis_url = plan.redis_url
        await wait_for_broker(redis_url, EXTERNAL_BROKER_LIMIT_S)
    else:
        redis_url = _start_broker(plan, lock, stack)
        await wait_for_broker(redis_url, READY_LIMIT_S)
        await forget_workers(redis_url, plan.keys)
    share_url = None
    if plan.host in WILDCARDS and (nearby := find_nearby_address()):
        share_url = address_of(nearby, port)
    stack.launch(gateway_program(plan, redis_url, port, share_url))
    simulator_port = None
    if not plan.has_provider:
        screen.print_status("no OPENAI_API_KEY: answers come from the built-in simulator")
        simulator_port = free_port()
        stack.launch(simulator_program(plan, simulator_port))
        # Wait: the first thing a worker does is to ask its provider for the list of models.
        await _wait_for_port(simulator_port)
    worker = worker_program(plan, redis_url, simulator_port)
    supervisor = stack.launch(worker)
    url = address_of(plan.host, port)
    async with Client(url) as client:
        await _wait_for_readiness(client)
        scripts = await _offered_scripts(client)
    stack.was_ready = True
    if plan.reload is not None:
        stack.accompany(Reloader(plan.reload, script_check(worker), supervisor, screen).run())
    if plan.host in WILDCARDS:
        screen.print_status(f"listening on all addresses: anyone who can reach port {port} and has a link can watch")
    if share_url:
        screen.print_status(f"the address for other devices: {share_url}")
    if not any(plan.environ.get(name) for name in CALLER_SETTINGS):
        screen.print_status(
            "only this computer can ask questions until you set a password (MANYCAST_PASSWORD) or an API key "
            f"({plan.command} key create)"
        )
    if scripts:
        screen.print_status(f"scripts: {', '.join(scripts)} (run one with `{plan.command} run NAME`)")
    screen.announce(f"Manycast is ready: {url}")


async def _offered_scripts(client: Client) -> list[str]:
    """The names of the scripts that the worker has loaded; empty also if the list of models needs an API key."""
    with suppress(ManycastError):
        models = await client.models()
        return [model.id.removeprefix(SCRIPT_PREFIX) for model in models if model.id.startswith(SCRIPT_PREFIX)]
    return []


def _start_broker(plan: Plan, lock: int | None, stack: "Stack") -> str:
    assert lock is not None
    broker = plan_broker(plan.data, lock, plan.environ_of())
    stack.launch(broker.program)
    return broker.url


async def _wait_for_readiness(client: Client) -> None:
    answer: object = "the gateway does not answer"
    try:
        async with asyncio.timeout(READY_LIMIT_S):
            while True:
                with suppress(ManycastError):
                    answer = await client.readiness()
                    if isinstance(answer, dict) and answer.get("ready"):
                        return
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise NotReadyError(f"not ready after {READY_LIMIT_S:.0f} s: {answer}; more with --verbose") from None


async def _wait_for_port(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(POLL_S)
        else:
            writer.close()
            return


def address_of(host: str, port: int) -> str:
    """The URL for a browser on this computer."""
    host = WILDCARDS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Stack:
    """The running parts. `STOP_ORDER` stops each part before the parts that it depends on."""

    def __init__(self, screen: Screen) -> None:
        self.was_ready = False
        self._screen = screen
        self._accompanying: list[asyncio.Task[None]] = []
        self._supervised: list[tuple[Supervisor, asyncio.Task[None]]] = []
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._broken = asyncio.Event()

    def launch(self, program: Program) -> Supervisor:
        supervisor = Supervisor(program, self._screen, lambda: self.was_ready)
        task = asyncio.create_task(supervisor.run())
        task.add_done_callback(lambda _: self._broken.set())
        self._supervised.append((supervisor, task))
        return supervisor

    def accompany(self, duty: Coroutine[Any, Any, None]) -> None:
        """Runs `duty` until the end of the stack."""
        task = asyncio.create_task(duty)
        task.add_done_callback(lambda _: self._broken.set())
        self._accompanying.append(task)

    async def run_until_stopped(self, starting: Coroutine[Any, Any, None]) -> None:
        """Runs `starting`, then waits for a signal or a supervisor's failure. Raises: any error of these."""
        start = asyncio.create_task(starting)
        ends = [asyncio.create_task(event.wait()) for event in (self._stop, self._broken)]
        try:
            await asyncio.wait([start, *ends], return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                start.result()
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in [*(task for _, task in self._supervised), *self._accompanying]:
                if task.done():
                    task.result()
        finally:
            start.cancel()
            for end in ends:
                end.cancel()
            await asyncio.gather(start, *ends, return_exceptions=True)

    async def end(self) -> None:
        """Stops the parts, one after another."""
        tasks = [*self._accompanying, *(task for _, task in self._supervised)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for supervisor, _ in sorted(self._supervised, key=lambda kept: STOP_ORDER.index(kept[0].child.program.name)):
            await supervisor.child.stop(self._hurry)

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in handled:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._screen.print_status("ending, open answers first (Ctrl-C again to hurry)")
        elif number is not signal.SIGHUP:  # a closed terminal can send several
            self._hurry.set()
