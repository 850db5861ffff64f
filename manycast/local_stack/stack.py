"""Everything on one machine: Valkey, simulator, worker and gateway as processes of one terminal.

Not for production: `docker-compose.yml` is. A part that dies is started again here; a machine that dies is not.
"""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Any

from manycast.client import Client
from manycast.client.errors import ManycastError
from manycast.exit_status import Exit
from manycast.local_stack.broker import forget_workers, lock_data, plan_broker, wait_for_broker
from manycast.local_stack.child import Program
from manycast.local_stack.plan import Plan, gateway_program, simulator_program, worker_program
from manycast.local_stack.port import demand_port, free_port
from manycast.local_stack.screen import Screen
from manycast.local_stack.supervisor import Supervisor

POLL_S = 0.05
READY_LIMIT_S = 60.0
FOREIGN_BROKER_LIMIT_S = 5.0
ENDING = ("gateway", "worker", "simulator", "valkey")
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- how to reach what listens everywhere
WAYS_IN = ("MANYCAST_KEYS", "MANYCAST_KEYS_FILE", "MANYCAST_PASSWORD", "MANYCAST_USER_HEADER")


class NotReadyError(Exception):
    """All processes run, but the stack does not answer. The sentence says what is missing."""


async def run_stack(plan: Plan, screen: Screen) -> Exit:
    """Runs until SIGINT, SIGTERM or SIGHUP, or until a part cannot live. No process is left when it returns.

    Raises: PortError, BrokerError, NotReadyError, KeptDownError, OSError.
    """
    port = demand_port(plan.host, plan.port)
    async with AsyncExitStack() as house:
        lock = None if plan.redis_url else await house.enter_async_context(lock_data(plan.data))
        stack = Stack(screen)
        house.enter_context(stack.hear_signals())
        house.push_async_callback(stack.end)
        await stack.race(_rise(plan, port, lock, stack, screen))
    return Exit.COMPLETED


async def _rise(plan: Plan, port: int, lock: int | None, stack: "Stack", screen: Screen) -> None:
    """Starts each part when its dependencies are ready, and prints the addresses."""
    if plan.redis_url:
        redis_url = plan.redis_url
        await wait_for_broker(redis_url, FOREIGN_BROKER_LIMIT_S)
    else:
        redis_url = _start_broker(plan, lock, stack)
        await wait_for_broker(redis_url, READY_LIMIT_S)
        await forget_workers(redis_url)
    stack.launch(gateway_program(plan, redis_url, port))
    simulator_port = None
    if not plan.has_provider:
        screen.note("no OPENAI_API_KEY: answers come from the built-in simulator")
        simulator_port = free_port("127.0.0.1")
        stack.launch(simulator_program(plan, simulator_port))
        # A worker first asks its provider for the list of models.
        await _wait_for_port(simulator_port)
    stack.launch(worker_program(plan, redis_url, simulator_port))
    url = address_of(plan.host, port)
    async with Client(url) as client:
        await _wait_for_readiness(client)
    stack.has_stood = True
    if plan.host in WILDCARDS:
        screen.note(f"listening on every address of this machine: whoever reaches port {port} can watch with a link")
    if not any(plan.environ.get(name) for name in WAYS_IN):
        screen.note("only this machine can start runs: no API key is set up (manycast key create)")
    screen.announce(f"Manycast is ready: {url}")


def _start_broker(plan: Plan, lock: int | None, stack: "Stack") -> str:
    assert lock is not None
    broker = plan_broker(plan.data, lock, plan.base_environ)
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
    """The address for a browser on this computer."""
    host = WILDCARDS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Stack:
    """The running parts. They end in the order of `ENDING`, so that each can use its dependencies to the end."""

    def __init__(self, screen: Screen) -> None:
        self.has_stood = False
        self._screen = screen
        self._kept: list[tuple[Supervisor, asyncio.Task[None]]] = []
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._broken = asyncio.Event()

    def launch(self, program: Program) -> None:
        keeper = Supervisor(program, self._screen, lambda: self.has_stood)
        task = asyncio.create_task(keeper.keep())
        task.add_done_callback(lambda _: self._broken.set())
        self._kept.append((keeper, task))

    async def race(self, rising: Coroutine[Any, Any, None]) -> None:
        """Starts the stack and runs it until it is told to stop. Raises: what `rising` or a supervisor raises."""
        risen = asyncio.create_task(rising)
        ends = [asyncio.create_task(event.wait()) for event in (self._stop, self._broken)]
        try:
            await asyncio.wait([risen, *ends], return_when=asyncio.FIRST_COMPLETED)
            if risen.done():
                risen.result()
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for _, task in self._kept:
                if task.done():
                    task.result()
        finally:
            risen.cancel()
            for end in ends:
                end.cancel()
            await asyncio.gather(risen, *ends, return_exceptions=True)

    async def end(self) -> None:
        """Ends the parts one after another."""
        tasks = [task for _, task in self._kept]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for keeper, _ in sorted(self._kept, key=lambda kept: ENDING.index(kept[0].child.program.name)):
            await keeper.child.stop(self._hurry)

    @contextmanager
    def hear_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        heard = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in heard:
            loop.add_signal_handler(number, self._take_signal, number)
        try:
            yield
        finally:
            for number in heard:
                loop.remove_signal_handler(number)

    def _take_signal(self, number: signal.Signals) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._screen.note("ending, open answers first (Ctrl-C again to hurry)")
        elif number is not signal.SIGHUP:  # a closed terminal may send several
            self._hurry.set()
