"""A slot of the stack, which one process after another fills. Their output goes to a file.

Not a keeper: it is started again when it is told to. Only a process that falls by itself is noticed, and replaced.
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
INFANCY_S = 10.0
"""A process that is stopped before it has installed its signal handlers just ends. It had no work yet."""


class ProcessSlot:
    """`argv` is the command, `environ` its whole environment. Hold `lock` while injecting a fault."""

    def __init__(self, name: str, argv: Sequence[str], environ: Mapping[str, str], logs: Path) -> None:
        self.name = name
        self.lock = asyncio.Lock()
        self.falls: list[str] = []
        """Exit statuses of processes that ended unasked."""
        self.log_path = logs / f"{name}.log"
        self._argv = argv
        self._environ = environ
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._started_at = 0.0

    async def start(self) -> None:
        """Call it from the main thread: on Linux the process ends with the thread that started it."""
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
        self._watch = asyncio.create_task(self._replace_when_fallen(self._process))

    @property
    def _age_s(self) -> float:
        return asyncio.get_running_loop().time() - self._started_at

    async def _replace_when_fallen(self, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        self.falls.append(f"{describe_exit(status)}, see {self.log_path}")
        await self.start()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def drain(self) -> None:
        """Stops the process and waits for its end. Not ending, or any status but 0, counts as a crash."""
        status = await self._end(signal.SIGTERM)
        if status is None:
            self.falls.append(f"did not stop within {END_LIMIT_S:g} s, see {self.log_path}")
            await self._end(signal.SIGKILL)
        elif status != 0 and not (status == -signal.SIGTERM and self._age_s < INFANCY_S):
            self.falls.append(f"was told to stop: {describe_exit(status)}, see {self.log_path}")

    async def _end(self, number: signal.Signals) -> int | None:
        """Its exit status; None if it still runs."""
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
