"""A client that writes bytes, not requests: for what no HTTP library would send."""

import json
import select
import socket
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.stack import DEADLINE_S, Gateway


class RawLine:
    """One connection. `received` is all that has come so far."""

    def __init__(self, gateway: Gateway, address: str = "127.0.0.1", receive_buffer_bytes: int | None = None) -> None:
        """`address` is the client's own, one of the loopback's. `receive_buffer_bytes` is its kernel's."""
        parts = urlsplit(gateway.url)
        self._socket = socket.socket()
        self._socket.settimeout(DEADLINE_S)
        if receive_buffer_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._socket.bind((address, 0))
        self._socket.connect((parts.hostname, parts.port))
        self.received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read_until(self, text: bytes) -> None:
        """Raises: TimeoutError after the deadline; ConnectionError where the other side closes before."""
        while text not in self.received:
            self.read_more()

    def read_more(self) -> None:
        """What comes next. Raises: as `read_until`."""
        if not self._read():
            raise ConnectionError(f"closed after {self.received!r}")

    def is_silent_for(self, seconds: float) -> bool:
        """Whether the other side sends nothing and does not close for so long."""
        return not select.select([self._socket], [], [], seconds)[0]

    def wait_for_answer(self) -> None:
        """Until there is something to read, and reads nothing of it."""
        assert select.select([self._socket], [], [], DEADLINE_S)[0]

    def read_to_end(self) -> bytes:
        """All until the other side closes. Raises: TimeoutError after the deadline."""
        while self._read():
            pass
        return self.received

    def _read(self) -> bool:
        piece = self._socket.recv(1 << 16)
        self.received += piece
        return bool(piece)

    @property
    def status(self) -> int:
        return int(self.received.split(b" ", 2)[1])

    @property
    def error(self) -> Any:
        """Of the one answer there is, in OpenAI's shape."""
        head, _, body = self.received.partition(b"\r\n\r\n")
        assert b"application/json" in head, self.received
        error = json.loads(body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error
