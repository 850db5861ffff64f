"""Programs under test: compiled where they are C, pinned to a core, ended by pid; their output is kept for failures."""

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
DEADLINE_S = 20.0

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
SERVER_CORE, OTHER_CORE = CORES[0], CORES[-1]
"""The server has one to itself; load, broker and all else share the last one."""


class BenchError(Exception):
    """Why something cannot be measured here, in one line."""


class Program:
    """A process that serves. `with` ends it, and what it has started."""

    def __init__(self, argv: Sequence[str], *, core: int = OTHER_CORE, environment: Mapping[str, str] | None = None):
        self.name = Path(argv[0]).name if argv[0] != sys.executable else " ".join(argv[1:3])
        self._output = tempfile.NamedTemporaryFile(prefix="mc-bench-", suffix=".log")  # noqa: SIM115 - lives as we do
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MANYCAST_", "OPENAI_"))}
        self._process = subprocess.Popen(
            list(argv),
            cwd=ROOT,
            env={**inherited, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: _settle_in(core),  # noqa: PLW1509 - we have no threads
        )

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            # A server that fell behind may be busy for long with what nobody waits for any more.
            for pid in self.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self._process.wait()
        self._output.close()

    @property
    def pids(self) -> list[int]:
        """Its own and its children's, which is where nginx works."""
        found, place = [self._process.pid], 0
        while place < len(found):
            children = Path(f"/proc/{found[place]}/task/{found[place]}/children")
            with contextlib.suppress(OSError):
                found += map(int, children.read_text().split())
            place += 1
        return found

    @property
    def cpu_us(self) -> float:
        """What it has spent so far, without its children."""
        # The process's own CPU clock, as clock_getcpuclockid(3) makes its number: exact where /proc counts ticks.
        return time.clock_gettime_ns((~self._process.pid << 3) | 2) / 1000

    def wait_for(self, port: int) -> None:
        """Until it listens. Raises: BenchError with the end of what it said."""
        deadline = time.monotonic() + DEADLINE_S
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.02)
        said = Path(self._output.name).read_text(errors="replace").strip()
        raise BenchError(f"{self.name} did not come up: {said[-300:] or 'it said nothing'}")


def _settle_in(core: int) -> None:
    os.sched_setaffinity(0, {core})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def workbench() -> Iterator[Path]:
    """A directory with the compiled `load` and `limit`. Raises: BenchError."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux":
        raise BenchError("the load driver is for Linux: it needs epoll and /proc")
    if compiler is None:
        raise BenchError(
            "there is no C compiler to build the load driver with. On Debian and Ubuntu: apt install gcc libc6-dev"
        )
    with tempfile.TemporaryDirectory(prefix="mc-bench-") as directory:
        for name in ("load", "limit"):
            argv = [compiler, "-O2", "-pthread", "-o", f"{directory}/{name}", str(HERE / f"{name}.c")]
            built = subprocess.run(argv, capture_output=True, text=True, check=False)
            if built.returncode:
                raise BenchError(f"{name}.c does not compile: {built.stderr.strip()[:300]}")
        yield Path(directory)
