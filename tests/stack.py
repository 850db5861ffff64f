"""Real processes of ours, for tests: started on free ports, ended by pid, their output kept for the failure report."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from manycast.local_stack.port import free_port
from tests.part_starter import ForkedPart, start_part

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_S = 60.0


class Process:
    """A process with its own environment; it inherits none of our settings."""

    def __init__(self, name: str, command: list[str], directory: Path, **environment: str) -> None:
        self.name = name
        self._output = tempfile.NamedTemporaryFile(prefix=f"mc-{name}-", suffix=".log")  # noqa: SIM115
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MANYCAST_", "OPENAI_"))}
        self.process = self._start(command, directory, {**inherited, **environment}, self._output)

    def _start(
        self, command: list[str], directory: Path, environment: dict[str, str], output: IO[bytes]
    ) -> subprocess.Popen[bytes] | ForkedPart:
        return subprocess.Popen(command, cwd=directory, env=environment, stdout=output, stderr=subprocess.STDOUT)

    @property
    def output(self) -> str:
        return Path(self._output.name).read_text()

    def signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def wait(self) -> int:
        """The exit code. Raises: TimeoutExpired after the deadline."""
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._output.close()


class Part(Process):
    """One of our services, as `python -m NAME` runs it."""

    def __init__(self, name: str, **environment: str) -> None:
        super().__init__(name, [name], ROOT, **environment)

    def _start(
        self, command: list[str], directory: Path, environment: dict[str, str], output: IO[bytes]
    ) -> subprocess.Popen[bytes] | ForkedPart:
        return start_part(self.name, environment, output)


def wait_for_http(part: Process, url: str) -> None:
    """Waits until `url` answers with any status. Raises: AssertionError with the part's output."""
    deadline = time.monotonic() + DEADLINE_S
    while part.process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"{part.name} did not come up:\n{part.output}")


class Gateway(Part):
    """A gateway on a free port of the loopback."""

    def __init__(self, redis_url: str, **settings: str) -> None:
        port = free_port()
        super().__init__("gateway", REDIS_URL=redis_url, MANYCAST_PORT=str(port), **settings)
        self.url = f"http://127.0.0.1:{port}"
        wait_for_http(self, f"{self.url}/healthz")


class Simulator(Part):
    """The simulated provider."""

    def __init__(self, **settings: str) -> None:
        port = free_port()
        super().__init__("simulator", SIMULATOR_PORT=str(port), **settings)
        self.url = f"http://127.0.0.1:{port}"
        wait_for_http(self, f"{self.url}/healthz")


class Worker(Part):
    """A worker that talks to a simulator."""

    def __init__(self, redis_url: str, provider_url: str, **settings: str) -> None:
        super().__init__(
            "worker",
            REDIS_URL=redis_url,
            OPENAI_BASE_URL=f"{provider_url}/v1",
            OPENAI_API_KEY="simulator",
            **{"MANYCAST_DEFAULT_MODEL": "demo", **settings},
        )


@contextlib.contextmanager
def closing_all(*parts: Process) -> Iterator[None]:
    """Ends the parts in the order given."""
    try:
        yield
    finally:
        for part in parts:
            part.close()
