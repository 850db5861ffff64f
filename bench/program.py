"""Compiles the C programs, and runs each program under test on its own core."""

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).parent
ROOT = HERE.parent
DEADLINE_S = 60.0

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
SERVER_CORE, OTHER_CORE = CORES[0], CORES[-1]
"""The measured server has its own core; the load driver, Redis and everything else share the other one."""


class BenchError(Exception):
    """The benchmark cannot run. The message says why, in one line."""


class Program:
    """A server process. Leaving the `with` block ends it and its children."""

    def __init__(self, argv: Sequence[str], *, core: int = OTHER_CORE, environment: Mapping[str, str] | None = None):
        self.name = Path(argv[0]).name if argv[0] != sys.executable else " ".join(argv[1:3])
        self._output = tempfile.NamedTemporaryFile(prefix="mc-bench-", suffix=".log")  # noqa: SIM115 - closed in __exit__
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MANYCAST_", "OPENAI_"))}
        self._process = subprocess.Popen(
            list(argv),
            cwd=ROOT,
            env={**inherited, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: _pin_to_core(core),  # noqa: PLW1509 - we have no threads
        )

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            # A server that fell behind can be busy for a long time with events that no viewer waits for.
            for pid in self.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self._process.wait()
        self._output.close()

    @property
    def pids(self) -> list[int]:
        """The ids of the process and of all its descendants: nginx works in child processes."""
        found, index = [self._process.pid], 0
        while index < len(found):
            children = Path(f"/proc/{found[index]}/task/{found[index]}/children")
            with contextlib.suppress(OSError):
                found += map(int, children.read_text().split())
            index += 1
        return found

    @property
    def cpu_us(self) -> float:
        """The CPU time of this process so far, without its children."""
        # The CPU clock of the process; clock_getcpuclockid(3) defines its number. It is exact, while /proc counts
        # ticks.
        return time.clock_gettime_ns((~self._process.pid << 3) | 2) / 1000

    def wait_for(self, port: int) -> None:
        """Waits until the program listens. Raises: BenchError with the end of its output."""

        def connect() -> None:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()

        self._wait(connect)

    def wait_for_answer(self, url: str) -> None:
        """Waits until the program answers `url` with 200. Raises: as `wait_for`."""

        def ask() -> None:
            with urlopen(url, timeout=DEADLINE_S):
                pass

        self._wait(ask)

    def _wait(self, attempt: Callable[[], None]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                attempt()
                return
            time.sleep(0.02)
        output = Path(self._output.name).read_text(errors="replace").strip()
        raise BenchError(f"{self.name} did not start: {output[-300:] or 'it printed nothing'}")


def _pin_to_core(core: int) -> None:
    os.sched_setaffinity(0, {core})
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))


@contextlib.contextmanager
def compiled_programs() -> Iterator[Path]:
    """Compiles `load` and `limit`. Yields their directory. Raises: BenchError."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux":
        raise BenchError("the load driver needs Linux (epoll and /proc)")
    if compiler is None:
        raise BenchError(
            "no C compiler found to build the load driver. On Debian and Ubuntu: apt install gcc libc6-dev"
        )
    with tempfile.TemporaryDirectory(prefix="mc-bench-") as directory:
        for name in ("load", "limit"):
            argv = [compiler, "-O2", "-pthread", "-o", f"{directory}/{name}", str(HERE / f"{name}.c")]
            built = subprocess.run(argv, capture_output=True, text=True, check=False)
            if built.returncode:
                raise BenchError(f"{name}.c does not compile: {built.stderr.strip()[:300]}")
        yield Path(directory)
