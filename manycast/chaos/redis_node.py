"""One server of a Redis topology: its process, its data, its log, and plain commands to it.

All of it is synchronous, for chaos runs and for tests. Start nodes in the main thread: on Linux a node dies with the
thread that started it. The calls that wait may run in another thread.
"""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from manycast.local_stack.child import LAUNCHER
from manycast.local_stack.port import free_port

HOST = "127.0.0.1"
READY_LIMIT_S = 60.0
CALL_LIMIT_S = 10.0
CUT_LIMIT = 3
"""How often a node may close the connection of a call, as the fault does that cuts all calls."""
POLL_S = 0.02
LOG_TAIL_BYTES = 8_000

# With `no`, a confirmed write is in the kernel, and killing the node does not lose it.
STORAGE = ("--save", "", "--appendonly", "yes", "--appendfsync", "no", "--maxmemory-policy", "noeviction")


class NodeError(Exception):
    """A node answered with an error. The message is its answer."""


class TopologyError(Exception):
    """A topology did not become ready, or a change of it did not happen in time. The message ends with the logs."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM. It is its own authority: servers and clients that show it trust each other."""

    file: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """For a client that shows the certificate and does not ask for the server's name."""
        context = ssl.create_default_context(cafile=str(self.file))
        context.check_hostname = False
        context.load_cert_chain(self.file, self.key)
        return context


class RedisNode:
    """A server with its own directory. `arguments`: of the server's command line, without port and directory.

    With a `certificate`, it speaks only TLS, and demands this certificate of its clients. `start` after `kill` or
    `stop` keeps the data.
    """

    def __init__(
        self,
        name: str,
        server: Path,
        directory: Path,
        arguments: Sequence[str],
        password: str | None,
        *,
        certificate: Certificate | None = None,
    ) -> None:
        self.name = name
        self.port = free_port(HOST)
        self.directory = directory / name
        self.directory.mkdir()
        self._password = password
        self._context = certificate.context() if certificate else None
        port = _tls_arguments(certificate, self.port) if certificate else ["--port", str(self.port)]
        self._argv = [str(server), *arguments, "--bind", HOST, *port, "--dir", str(self.directory)]
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ended = True
        self._is_frozen = False

    @property
    def address(self) -> str:
        """`host:port`, as URLs and `CLUSTER SLOTS` name it."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Raises: AssertionError before the first start."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """False after `stop`, `kill` or a crash, and while it is frozen."""
        return not self._is_ended and not self._is_frozen and self.crash is None

    @property
    def crash(self) -> int | None:
        """The exit status of a process that nobody ended."""
        return None if self._is_ended or self._process is None else self._process.poll()

    @property
    def log(self) -> str:
        """The end of its output."""
        with contextlib.suppress(FileNotFoundError), (self.directory / "log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")
        return ""

    def start(self) -> None:
        """Starts the process and does not wait for it."""
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(signal.SIGKILL))]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own command line
                [*launcher, *self._argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # In a session of its own, Ctrl-C does not end it before the processes that use it.
                start_new_session=True,
            )
        self._is_ended = False

    def wait_until_ready(self) -> None:
        """Waits until it answers and has loaded its data. Raises: TopologyError."""

        def answers() -> bool:
            if self.crash is not None:
                raise TopologyError(f"{self.name} ended with {self.crash}:\n{self.log}")
            return bool(self.call("PING") == b"PONG")

        wait_until(answers, f"{self.name} does not answer", [self])

    def stop(self) -> None:
        """Ends it with SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stops the process until `resume`; its connections stay open and silent."""
        self._is_frozen = True
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Does nothing if the node is not frozen."""
        self._is_frozen = False
        self._signal(signal.SIGCONT)

    def call(self, *command: str | int | bytes) -> Any:
        """The answer to one command on a connection of its own: bytes, int, None or a list of these.

        Raises: NodeError, OSError (TimeoutError after ten seconds).
        """
        return self.call_all([command])[0]

    def call_all(self, commands: Sequence[Sequence[str | int | bytes]]) -> list[Any]:
        """The answers to several commands, sent together. Raises: NodeError, OSError."""
        for _ in range(CUT_LIMIT):
            with contextlib.suppress(ConnectionResetError):
                return self._call_once(commands)
        return self._call_once(commands)

    def _call_once(self, commands: Sequence[Sequence[str | int | bytes]]) -> list[Any]:
        login = [("AUTH", self._password)] if self._password else []
        return exchange(self.port, [*login, *commands], self._context)[len(login) :]

    def remove(self) -> None:
        """Kills it and removes its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        self._is_ended = True
        self._is_frozen = False
        if self._process is not None:
            self._signal(number)
            self._signal(signal.SIGCONT)
            self._process.wait(READY_LIMIT_S)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def wait_until(is_so: Callable[[], bool], otherwise: str, nodes: Sequence[RedisNode]) -> None:
    """Looks until `is_so` returns true; an unreachable node counts as false.

    Raises: TopologyError with `otherwise` and the logs of the nodes after a minute.
    """
    deadline = time.monotonic() + READY_LIMIT_S
    while True:
        with contextlib.suppress(NodeError, OSError):
            if is_so():
                return
        if time.monotonic() > deadline:
            raise TopologyError(f"{otherwise} after {READY_LIMIT_S:g} s\n{logs_of(nodes)}")
        time.sleep(POLL_S)


def logs_of(nodes: Sequence[RedisNode]) -> str:
    """The ends of the nodes' logs, each under the node's name."""
    return "\n".join(f"--- {node.name} ({node.address})\n{node.log}" for node in nodes)


def exchange(
    port: int, commands: Sequence[Sequence[str | int | bytes]], context: ssl.SSLContext | None = None
) -> list[Any]:
    """The answers of a server on this machine to several commands, sent together. `context`: of TLS, if it speaks that.

    Raises: NodeError, OSError.
    """
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(socket.create_connection((HOST, port), timeout=CALL_LIMIT_S))
        if context is not None:
            line = stack.enter_context(context.wrap_socket(line))
        reader = stack.enter_context(line.makefile("rb"))
        line.sendall(b"".join(_encode(command) for command in commands))
        return [_decode(reader) for _ in commands]


def _tls_arguments(certificate: Certificate, port: int) -> list[str]:
    files = [*("--tls-cert-file", str(certificate.file)), *("--tls-key-file", str(certificate.key))]
    return ["--port", "0", "--tls-port", str(port), *files, "--tls-ca-cert-file", str(certificate.file)]


def _encode(command: Sequence[str | int | bytes]) -> bytes:
    words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _decode(reader: BufferedReader) -> Any:
    """One RESP2 reply. Raises: NodeError, OSError."""
    line = reader.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("the node closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        raise NodeError(rest.decode(errors="replace"))
    if kind == b"+":
        return rest
    if kind == b":":
        return int(rest)
    if rest == b"-1":
        return None
    if kind == b"$":
        return reader.read(int(rest) + 2)[:-2]
    return [_decode(reader) for _ in range(int(rest))]
