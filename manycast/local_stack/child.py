"""One child process: started in its own session, read, and ended. It does not restart: see `supervisor`.

Its own session, because Ctrl-C in a terminal goes to the whole foreground group: the broker would be gone before the
worker has drained. `up` alone hears the key, and ends its children in order.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launcher.py")
LINE_LIMIT_BYTES = 16 << 10
LAST_WORDS_LIMIT_S = 1.0


@dataclass(frozen=True)
class Program:
    """What to run. It gets `death_signal` if this process dies, and `grace_s` seconds to end when asked.

    `feed` is written to its standard input; `keep_open` are file descriptors it inherits.
    """

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    grace_s: float
    death_signal: signal.Signals = signal.SIGKILL
    directory: Path | None = None
    feed: bytes = b""
    keep_open: Sequence[int] = ()


class Child:
    """A running program. `on_line(name, line)` is called for each line of its output."""

    def __init__(self, program: Program, on_line: Callable[[str, str], None]) -> None:
        self.program = program
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._is_buried = False

    async def start(self) -> None:
        """Call it from the main thread: on Linux the death signal depends on the starting thread. Raises: OSError."""
        program = self.program
        tied = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(program.death_signal))]
        # Our own pipe: with asyncio's, `wait` would last until the last grandchild has closed it.
        read_end, write_end = os.pipe()
        self._is_buried = False
        self._listening = asyncio.create_task(self._listen(read_end))
        try:
            self._process = await asyncio.create_subprocess_exec(
                *tied,
                *program.argv,
                stdin=asyncio.subprocess.PIPE if program.feed else asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                env=dict(program.environ),
                cwd=program.directory,
                start_new_session=True,
                pass_fds=tuple(program.keep_open),
            )
        finally:
            os.close(write_end)
        if self._process.stdin is not None:
            self._process.stdin.write(program.feed)
            self._process.stdin.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def wait(self) -> int:
        """The exit status, negative for a signal, after its last lines were read.

        What it has started itself, and left behind, is killed.
        """
        assert self._process is not None and self._listening is not None
        status = await self._process.wait()
        if not self._is_buried:
            # Only once: an empty process group's number may be reused.
            self._is_buried = True
            self._signal(signal.SIGKILL)
        await asyncio.wait([self._listening], timeout=LAST_WORDS_LIMIT_S)
        self._listening.cancel()
        return status

    async def stop(self, hurry: asyncio.Event) -> None:
        """Asks it to end, and kills it after the grace period or when `hurry` is set. It may have ended already."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._signal(signal.SIGTERM)
        ended = asyncio.create_task(self.wait())
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait([ended, hurried], timeout=self.program.grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if self._process.returncode is None:
            self._signal(signal.SIGKILL)
        await ended

    def _signal(self, number: signal.Signals) -> None:
        """Signals the whole process group, so that its own children end too."""
        # macOS refuses a signal to a group with only a zombie.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _listen(self, read_end: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
        )
        pending = b""
        try:
            while piece := await reader.read(LINE_LIMIT_BYTES):
                *lines, pending = (pending + piece).split(b"\n")
                if len(pending) > LINE_LIMIT_BYTES:
                    lines, pending = [*lines, pending], b""
                for line in lines:
                    self._hear(line)
            if pending:
                self._hear(pending)
        finally:
            transport.close()

    def _hear(self, line: bytes) -> None:
        self._on_line(self.program.name, line.decode("utf-8", "replace").rstrip("\r"))


def describe_exit(status: int) -> str:
    """The exit status of `Child.wait`, in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
