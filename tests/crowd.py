"""A thousand viewers for a test, as plain sockets without tasks. They understand chunked HTTP/1.1 and nothing else."""

import re
import selectors
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

DEADLINE_S = 60.0


class Member:
    """One viewer: the bytes that it has received, and whether the server has closed."""

    def __init__(self, host: str, port: int, path: str, after: str | None, receive_buffer_bytes: int | None) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.connect((host, port))
        resume = f"Last-Event-ID: {after}\r\n" if after else ""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{resume}\r\n".encode())
        self.socket.setblocking(False)
        self.received = bytearray()
        self.closed = False
        self.closed_at = 0.0

    def read(self) -> None:
        try:
            while piece := self.socket.recv(1 << 18):
                self.received += piece
        except BlockingIOError:
            return
        except ConnectionError:
            pass
        self.closed = True
        self.closed_at = time.monotonic()

    @property
    def is_whole(self) -> bool:
        """Whether the body has its end mark, and was not cut."""
        return self.received.endswith(b"\r\n0\r\n\r\n")

    @property
    def body(self) -> bytes:
        """The body so far, without the chunked coding."""
        rest = bytes(self.received).partition(b"\r\n\r\n")[2]
        pieces = []
        while rest:
            size, ended, rest = rest.partition(b"\r\n")
            if not ended:
                break
            length = int(size, 16)
            pieces.append(rest[:length])
            rest = rest[length + 2 :]
        return b"".join(pieces)

    @property
    def ids(self) -> list[str]:
        """The positions of the events that arrived whole."""
        whole = self.body.rpartition(b"\n\n")[0].decode()
        return re.findall(r"^id: (\S+)$", whole, re.MULTILINE)

    @property
    def retries_ms(self) -> list[int]:
        return [int(value) for value in re.findall(r"^retry: (\d+)$", self.body.decode(), re.MULTILINE)]


NewCrowd = Callable[..., "Crowd"]
"""Makes a crowd that is closed when the test is over: the fixture `crowd_of`."""


class Crowd:
    """Many viewers of one address. A `stalled` crowd reads nothing until `read_on`."""

    def __init__(
        self,
        url: str,
        size: int,
        *,
        stalled: bool = False,
        after: str | None = None,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        self.members = [Member(parts.hostname, parts.port, path, after, receive_buffer_bytes) for _ in range(size)]
        self._selector = selectors.DefaultSelector()
        if not stalled:
            self.read_on()

    def read_on(self) -> None:
        """Lets all viewers read from now on."""
        for member in self.members:
            self._selector.register(member.socket, selectors.EVENT_READ, member)

    def read(self, seconds: float) -> None:
        """Reads what arrives within that time."""
        for key, _ in self._selector.select(seconds):
            key.data.read()
            if key.data.closed:
                self._selector.unregister(key.fileobj)

    def read_until(self, condition: object, deadline_s: float = DEADLINE_S) -> None:
        """Reads until `condition()` is true. Raises: AssertionError after the deadline."""
        assert callable(condition)
        deadline = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < deadline, "the condition did not become true in time"
            self.read(0.05)

    def everyone_has(self, text: bytes) -> bool:
        return all(text in member.received for member in self.members)

    @property
    def everyone_is_through(self) -> bool:
        """Whether each response has ended or was cut. Its connection may stay open for the next request."""
        return all(member.is_whole or member.closed for member in self.members)

    def close(self) -> None:
        self._selector.close()
        for member in self.members:
            member.socket.close()
