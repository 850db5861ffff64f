"""Starts the worker again when its scripts change. If they cannot be used, says why, and the old ones keep running."""

import asyncio
from pathlib import Path

from manycast.local_stack.child import Program
from manycast.local_stack.screen import Screen
from manycast.local_stack.supervisor import Supervisor

LOOK_EVERY_S = 0.5


class Reloader:
    """Watches the Python files of a folder. `check` is a program that ends with 0 if the scripts can be used."""

    def __init__(self, folder: Path, check: Program, worker: Supervisor, screen: Screen) -> None:
        self._folder = folder
        self._check_program = check
        self._worker = worker
        self._screen = screen

    async def run(self) -> None:
        """Runs until cancelled."""
        seen = _look(self._folder)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            found = _look(self._folder)
            if found == seen:
                continue
            seen = found
            problem = await self._check()
            if problem:
                self._screen.print_status(f"the changed scripts cannot be used; the old ones keep running: {problem}")
            else:
                self._screen.print_status("the scripts have changed: starting the worker again")
                await self._worker.replace()

    async def _check(self) -> str:
        """Why the scripts cannot be used, or ""."""
        checking = await asyncio.create_subprocess_exec(
            *self._check_program.argv,
            env=dict(self._check_program.environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, told = await checking.communicate()
        return "" if checking.returncode == 0 else told.decode("utf-8", "replace").strip()


def _look(folder: Path) -> dict[Path, tuple[int, int]]:
    """The time and size of each Python file."""
    found = {}
    for path in folder.rglob("*.py"):
        try:
            status = path.stat()
        except OSError:
            # An editor is replacing the file right now.
            continue
        found[path] = (status.st_mtime_ns, status.st_size)
    return found
