"""Starts one child process, reads its output, and stops it. `supervisor.py` restarts it.

Each child has its own session. Ctrl-C signals the whole foreground process group, and would stop the broker before the
worker has drained. With its own session, only `up` gets the signal and stops the children in order.
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
LAST_OUTPUT_LIMIT_S = 1.0


@dataclass(frozen=True)
class Program:
    """A command to run.

    `grace_s`: seconds between SIGTERM and SIGKILL. `death_signal`: the signal it gets if this process dies. `feed`:
    bytes for its standard input. `keep_open`: file descriptors that it inherits. `umask`: -1 leaves it as it is.
    """

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    grace_s: float
    death_signal: signal.Signals = signal.SIGKILL
    directory: Path | None = None
    feed: bytes = b""
    keep_open: Sequence[int] = ()
    umask: int = -1


class Child:
    """A running program. `on_line(name, line)` is called for each line of its output."""

    def __init__(self, program: Program, on_line: Callable[[str, str], None]) -> None:
        self.program = program
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._is_group_killed = False

    async def start(self) -> None:
        """Call this from the main thread: the kernel sends the death signal when the starting thread ends.

        Raises: OSError.
        """
        program = self.program
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(program.death_signal))]
        # Use our own pipe: with asyncio's pipe, `wait` would last until every grandchild has closed it.
        read_end, write_end = os.pipe()
        self._is_group_killed = False
        self._reading = asyncio.create_task(self._read_output(read_end))
        try:
            self._process = await asyncio.create_subprocess_exec(
                *launcher,
                *program.argv,
                stdin=asyncio.subprocess.PIPE if program.feed else asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                env=dict(program.environ),
                cwd=program.directory,
                start_new_session=True,
                pass_fds=tuple(program.keep_open),
                umask=program.umask,
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
        """Waits for the exit, kills the child's remaining process group, and reads the last output.

        Returns the exit status; a negative number is the signal that killed the child.
        """
        assert self._process is not None and self._reading is not None
        status = await self._process.wait()
        if not self._is_group_killed:
            # Only once: the system may reuse the number of an empty process group.
            self._is_group_killed = True
            self._signal(signal.SIGKILL)
        await asyncio.wait([self._reading], timeout=LAST_OUTPUT_LIMIT_S)
        self._reading.cancel()
        return status

    def terminate(self) -> bool:
        """Sends SIGTERM. Returns False if the child does not run."""
        if self._process is None or self._process.returncode is not None:
            return False
        self._signal(signal.SIGTERM)
        return True

    async def stop(self, hurry: asyncio.Event) -> None:
        """Sends SIGTERM, then SIGKILL after the grace period or when `hurry` is set. No effect on an ended child."""
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
        """Signals the whole process group, so that the child's own children end too."""
        # macOS refuses to signal a group that contains only a zombie.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _read_output(self, read_end: int) -> None:
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
                    self._handle_line(line)
            if pending:
                self._handle_line(pending)
        finally:
            transport.close()

    def _handle_line(self, line: bytes) -> None:
        self._on_line(self.program.name, line.decode("utf-8", "replace").rstrip("\r"))


def describe_exit(status: int) -> str:
    """Describes the exit status that `Child.wait` returned."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
