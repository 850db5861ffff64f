"""Runs the `manycast` command in a real process, with pipes or on a real terminal, and looks at its processes."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0
CALLED = f"{sys.executable} -m manycast"
"""How the tests call the command, and so how its advice names it."""
CTRL_C = b"\x03"
# A terminal sends Ctrl-C to those whose controlling terminal it is.
ADOPT = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


def environment(**others: str) -> dict[str, str]:
    """The environment of a user who has set none of our variables, plus these."""
    ours = ("MANYCAST_", "OPENAI_", "SIMULATOR_", "REDIS_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **others}


def manycast(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "manycast", *arguments]


def run(*arguments: str, feed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end, with pipes for its input and outputs."""
    return subprocess.run(
        manycast(*arguments),
        input=feed,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment(**environ),
        timeout=DEADLINE_S,
    )


def started(*arguments: str) -> subprocess.Popen[str]:
    """Starts the command without a terminal: empty input, and pipes for its outputs."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        manycast(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        text=True,
        cwd=ROOT,
        env=environment(),
    )


class Console:
    """A command on a terminal. `screen` is all that it has printed; `type` presses keys."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self.screen = ""
        self._keys, line = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ADOPT, *manycast(*arguments)],
            stdin=line,
            stdout=line,
            stderr=line,
            start_new_session=True,
            cwd=ROOT,
            env=environment(**environ),
        )
        os.close(line)

    def type(self, keys: bytes) -> None:
        os.write(self._keys, keys)

    def wait_for(self, text: str) -> None:
        """Raises: AssertionError with the screen, after the deadline or the command's end."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.screen:
            is_over = self.process.poll() is not None
            # After its end there may still be something to read.
            if (not self._read() and is_over) or time.monotonic() > deadline:
                raise AssertionError(f"{text!r} did not come:\n{self.screen}")

    def wait(self) -> int:
        """Its exit status, after all of its screen was read."""
        deadline = time.monotonic() + DEADLINE_S
        while self.process.poll() is None:
            self._read()
            assert time.monotonic() < deadline, f"it did not end:\n{self.screen}"
        while self._read():
            pass
        return self.process.returncode

    def hang_up(self) -> None:
        """Closes the terminal's window."""
        os.close(self._keys)
        self._keys = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        if self._keys >= 0:
            os.close(self._keys)

    def _read(self) -> bool:
        """Whether something new is on the screen. Waits a moment for it."""
        if self._keys >= 0 and select.select([self._keys], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):  # Linux' way to say that the last process has let go of the terminal
                piece = os.read(self._keys, 65536)
                self.screen += piece.decode("utf-8", "replace")
                return bool(piece)
        time.sleep(0.01)
        return False


@contextmanager
def console(*arguments: str, **environ: str) -> Iterator[Console]:
    console = Console(*arguments, **environ)
    try:
        yield console
    finally:
        console.close()


class LocalStack:
    """`manycast up` with pipes. `url` is the address that it printed; `parts` are the ids of its processes by name.

    `command`: what to call instead of our own `manycast`.
    """

    def __init__(self, data: Path, *arguments: str, command: str = "", cwd: Path = ROOT, **environ: str) -> None:
        self.data = data
        self._notes = data.with_suffix(".notes").open("w+")
        called = [command] if command else manycast()
        self.process = subprocess.Popen(
            [*called, "up", "--port", "0", "--data", str(data), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._notes,
            text=True,
            cwd=cwd,
            env=environment(**environ),
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().removeprefix("Manycast is ready: ").strip()
        assert self.url.startswith("http://"), self.notes

    @property
    def notes(self) -> str:
        return Path(self._notes.name).read_text()

    @property
    def rest_of_output(self) -> str:
        """Its standard output after the address. Waits for its end."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    @property
    def parts(self) -> dict[str, int]:
        return parts_of(self.process.pid)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
                return True
        except OSError:
            return False

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._notes.close()


@contextmanager
def up(data: Path, *arguments: str, command: str = "", cwd: Path = ROOT, **environ: str) -> Iterator[LocalStack]:
    stack = LocalStack(data, *arguments, command=command, cwd=cwd, **environ)
    try:
        yield stack
    finally:
        stack.close()


def parts_of(parent_pid: int) -> dict[str, int]:
    """The ids of the children of a process, by what they run: gateway, worker, simulator, valkey."""
    found = {}
    for place in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(place.name)
            if int((place / "stat").read_text().rpartition(")")[2].split()[1]) == parent_pid:
                words = (place / "cmdline").read_text().split("\0")
                found["valkey" if "valkey-server" in words[0] else words[3] if len(words) > 3 else words[0]] = pid
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(is_so: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


def wait_until_gone(pids: list[int]) -> None:
    wait_until(lambda: not any(map(is_alive, pids)), f"still alive: {[pid for pid in pids if is_alive(pid)]}")
