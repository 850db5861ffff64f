"""Runs one part of the stack in one process at a time, and appends its output to a file.

After a fault, the fault injector starts the next process. After a crash, the slot records it and starts the next
process itself.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from manycast.local_stack.child import LAUNCHER, describe_exit

END_LIMIT_S = 40.0
STARTUP_GRACE_S = 10.0
"""A young process may not have installed its signal handlers: then SIGTERM kills it, which is no crash."""


class ProcessSlot:
    """`environ` is the complete environment of the process. Hold `lock` while you inject a fault."""

    def __init__(self, name: str, argv: Sequence[str], environ: Mapping[str, str], logs: Path) -> None:
        self.name = name
        self.lock = asyncio.Lock()
        self.crashes: list[str] = []
        """Descriptions of unexpected exits."""
        self.log_path = logs / f"{name}.log"
        self._argv = argv
        self._environ = environ
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._started_at = 0.0

    async def start(self) -> None:
        """Call this from the main thread: on Linux the process dies with the thread that started it."""
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(signal.SIGKILL))),
                *self._argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self._environ),
                start_new_session=True,
            )
        self._started_at = asyncio.get_running_loop().time()
        self._watch = asyncio.create_task(self._restart_after_crash(self._process))

    @property
    def _age_s(self) -> float:
        return asyncio.get_running_loop().time() - self._started_at

    async def _restart_after_crash(self, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        self.crashes.append(f"{describe_exit(status)}, see {self.log_path}")
        await self.start()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def drain(self) -> None:
        """Sends SIGTERM and waits for the exit. No exit, or an exit status other than 0, counts as a crash."""
        status = await self._end(signal.SIGTERM)
        if status is None:
            self.crashes.append(f"did not stop within {END_LIMIT_S:g} s, see {self.log_path}")
            await self._end(signal.SIGKILL)
        elif status != 0 and not (status == -signal.SIGTERM and self._age_s < STARTUP_GRACE_S):
            self.crashes.append(f"ended after SIGTERM with {describe_exit(status)}, see {self.log_path}")

    async def _end(self, number: signal.Signals) -> int | None:
        """Sends the signal and returns the exit status, or None if the process still runs after the limit."""
        process = self._process
        if process is None:
            return 0
        if self._watch is not None:
            self._watch.cancel()
        self._signal(number)
        try:
            async with asyncio.timeout(END_LIMIT_S):
                status = await process.wait()
        except TimeoutError:
            return None
        self._process = None
        return status

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
