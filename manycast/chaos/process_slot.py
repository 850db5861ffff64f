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
"""Where the system does not say whether a process handles SIGTERM, one that is younger may not."""


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

    def _handles_sigterm(self) -> bool:
        """Whether the process has installed a handler, as Linux says (proc(5), SigCgt: bit 14 is SIGTERM's)."""
        try:
            text = Path(f"/proc/{self._process.pid if self._process else 0}/status").read_text()
        except OSError:
            return asyncio.get_running_loop().time() - self._started_at >= STARTUP_GRACE_S
        caught = next(line for line in text.splitlines() if line.startswith("SigCgt:")).split()[1]
        return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)

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
        # A process that has just been started has no handler yet: then SIGTERM kills it, which is no crash. How long it
        # takes depends on the load of the machine.
        is_starting = not self._handles_sigterm()
        status = await self._end(signal.SIGTERM)
        if status is None:
            self.crashes.append(f"did not stop within {END_LIMIT_S:g} s, see {self.log_path}")
            await self._end(signal.SIGKILL)
        elif status != 0 and not (status == -signal.SIGTERM and is_starting):
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
