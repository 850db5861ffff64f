"""Starts our services as forks of a process that has already imported what they import.

The imports take most of a start's CPU time: half a second to more than a second. A fork is otherwise a process like one
that `python -m NAME` started: it has its own environment, arguments, outputs and signals, and runs the service's
`__main__`. The tests of the `manycast` command, of the containers and of the simulator start real commands.

`python -m tests.part_starter FD` is the starting process. It reads orders from the socket FD.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
IMPORTS = {
    "gateway": ("gateway.app", "pydantic.v1", "uvicorn", "uvicorn.lifespan.on", "uvloop"),
    "worker": ("worker.app", "worker.providers.openai_source", "uvloop"),
    "simulator": ("simulator.app", "simulator.server", "pydantic.v1", "uvicorn.lifespan.on", "uvloop"),
}
"""Service -> what it imports from its `__main__`, directly or later."""
ORDER_LIMIT_BYTES = 1 << 20


class ForkedPart:
    """A service that a starter has forked. Its methods are those of subprocess.Popen."""

    def __init__(self, pid: int, status: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises: subprocess.TimeoutExpired."""
        if self.returncode is None:
            readable, _, _ = select.select([self._status], [], [], timeout)
            if not readable:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            # The starter says it when it has reaped the process. Without a word, the starter itself is gone.
            self.returncode = int(self._status.recv(64) or -signal.SIGKILL)
            self._status.close()
        return self.returncode

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Starter:
    """The process that forks. `options`: the environment variables that Python reads when it starts."""

    def __init__(self, options: dict[str, str]) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", __name__, str(theirs.fileno())]
            environment = {**os.environ, **options}
            # It ends when this process has closed its end of the socket, so also when this process dies.
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[theirs.fileno()])
        atexit.register(self._close)

    def start(self, name: str, environment: dict[str, str], output: IO[Any]) -> ForkedPart:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = json.dumps({"name": name, "environment": environment}).encode()
        with theirs:
            socket.send_fds(self._orders, [order], [output.fileno(), theirs.fileno()])
        return ForkedPart(int(ours.recv(64)), ours)

    def _close(self) -> None:
        self._orders.close()
        self._process.wait()


_starters: dict[tuple[tuple[str, str], ...], _Starter] = {}


def start_part(name: str, environment: dict[str, str], output: IO[Any]) -> ForkedPart | subprocess.Popen[bytes]:
    """Runs the service with this environment in the project's folder. Standard output and errors go to `output`."""
    if "COVERAGE_PROCESS_CONFIG" in environment:
        # `make coverage` measures from the start of Python on, and not in forks.
        command = [sys.executable, "-m", name]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    options = {key: value for key, value in environment.items() if key.startswith("PYTHON")}
    of = tuple(sorted(options.items()))
    if of not in _starters:
        _starters[of] = _Starter(options)
    return _starters[of].start(name, environment, output)


def _serve(orders: socket.socket) -> str | None:
    """Forks for each order. Returns twice: in a fork the name of its service, and None when nobody gives orders."""
    running: dict[int, socket.socket] = {}
    wakeup, alarm = socket.socketpair()
    alarm.setblocking(False)
    signal.set_wakeup_fd(alarm.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        readable, _, _ = select.select([orders, wakeup], [], [])
        if wakeup in readable:
            wakeup.recv(4096)
            _report_ended(running)
        if orders not in readable:
            continue
        text, fds, _, _ = socket.recv_fds(orders, ORDER_LIMIT_BYTES, 2)
        if not text:
            return None
        order, output, status = json.loads(text), fds[0], socket.socket(fileno=fds[1])
        _import_for(order["name"])
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for line in (orders, wakeup, alarm, status, *running.values()):
                line.close()
            _become(order["name"], order["environment"], output)
            return str(order["name"])
        os.close(output)
        running[pid] = status
        status.send(str(pid).encode())


def _report_ended(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with running.pop(pid) as line, contextlib.suppress(OSError):
            line.send(str(os.waitstatus_to_exitcode(status)).encode())


def _import_for(name: str) -> None:
    for module in IMPORTS[name]:
        # What cannot be imported fails in the service, where its test looks.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    # The forks' collectors then leave these objects alone, and their memory stays shared.
    gc.freeze()


def _become(name: str, environment: dict[str, str], output: int) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = [name]


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        name = _serve(orders)
    if name is not None:
        runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
