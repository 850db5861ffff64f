"""Keeps one child running: starts it, and restarts it when it dies. `Child.stop` ends it."""

import asyncio
from collections.abc import Callable

from contract.backoff import Backoff
from manycast.local_stack.child import Child, Program, describe_exit
from manycast.local_stack.screen import Screen

STEADY_S = 10.0
"""A child that ran this long had started; one that did not has failed to start."""
ATTEMPTS = 5
FIRST_DELAY_S = 0.2
MAX_DELAY_S = 5.0


class RestartLimitError(Exception):
    """The child cannot run. The sentence names it and says how it died; its last lines were shown."""


class Supervisor:
    """One child through all its restarts. `has_stood`: the stack was ready once; before that, any death is an error."""

    def __init__(self, program: Program, screen: Screen, has_stood: Callable[[], bool]) -> None:
        self.child = Child(program, screen.relay)
        self._screen = screen
        self._has_stood = has_stood

    async def keep(self) -> None:
        """Runs until it is cancelled. Raises: RestartLimitError, OSError if the program cannot be started."""
        clock = asyncio.get_running_loop()
        name = self.child.program.name
        backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S)
        while True:
            await self.child.start()
            born = clock.time()
            how = describe_exit(await self.child.wait())
            if clock.time() - born > STEADY_S:
                backoff.reset()
            delay_s = backoff.next_delay_s()
            self._screen.recall(name)
            self._screen.note(f"{name} ended unexpectedly ({how})")
            if not self._has_stood():
                raise RestartLimitError(f"{name} could not be started ({how})")
            if backoff.failures >= ATTEMPTS:
                raise RestartLimitError(f"{name} died {backoff.failures} times in a row ({how})")
            await asyncio.sleep(delay_s)
            self._screen.note(f"starting {name} again")
