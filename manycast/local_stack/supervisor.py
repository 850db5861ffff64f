"""Starts one child, and restarts it when it dies. `Child.stop` stops it."""

import asyncio
from collections.abc import Callable

from contract.backoff import Backoff
from manycast.local_stack.child import Child, Program, describe_exit
from manycast.local_stack.screen import Screen

STABLE_S = 10.0
"""A child that dies sooner has failed to start."""
ATTEMPTS = 5
FIRST_DELAY_S = 0.2
MAX_DELAY_S = 5.0
DRAIN_S = 2.0


class RestartLimitError(Exception):
    """The child cannot run. The message names it and says how it died. Its last lines were shown before."""


class Supervisor:
    """Supervises one child. While `was_ready` returns False, it does not restart the child: its death is an error."""

    def __init__(self, program: Program, screen: Screen, was_ready: Callable[[], bool]) -> None:
        self.child = Child(program, screen.relay)
        self._screen = screen
        self._was_ready = was_ready
        self._is_replaced = False

    async def replace(self) -> None:
        """Ends the child in order; `run` starts it again at once. What it does not finish in time, it gives back."""
        self._is_replaced = self.child.terminate()
        await asyncio.sleep(DRAIN_S)
        if self._is_replaced:
            # The second signal cuts its grace period short.
            self.child.terminate()

    async def run(self) -> None:
        """Runs until cancelled. Raises: RestartLimitError; OSError if the program cannot be started."""
        clock = asyncio.get_running_loop()
        name = self.child.program.name
        backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S)
        while True:
            await self.child.start()
            started_at = clock.time()
            how = describe_exit(await self.child.wait())
            if self._is_replaced:
                self._is_replaced = False
                continue
            if clock.time() - started_at > STABLE_S:
                backoff.reset()
            delay_s = backoff.next_delay_s()
            self._screen.show_last_lines(name)
            self._screen.print_status(f"{name} ended unexpectedly ({how})")
            if not self._was_ready():
                raise RestartLimitError(f"{name} could not be started ({how})")
            if backoff.failures >= ATTEMPTS:
                raise RestartLimitError(f"{name} died {backoff.failures} times in a row ({how})")
            await asyncio.sleep(delay_s)
            self._screen.print_status(f"starting {name} again")
