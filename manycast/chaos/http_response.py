"""Parses one HTTP/1.1 response that may be cut at any byte. No I/O.

HTTP libraries discard an incomplete chunk. A chaos viewer closes its connection at a planned byte and needs everything
that it received before. Supported: chunked bodies, bodies with a length, and bodies that end with the connection.
"""


class MalformedResponseError(ValueError):
    """The bytes are not an HTTP response."""


class ResponseReader:
    """`status` is 0 until the head is complete. `is_whole` is true when the body has ended."""

    def __init__(self) -> None:
        self.status = 0
        self.is_whole = False
        self._pending = b""
        self._left: int | None = None
        self._is_chunked = False

    def feed(self, received: bytes) -> bytes:
        """Returns the body bytes in `received`. Raises: MalformedResponseError."""
        self._pending += received
        if not self.status and not self._take_head():
            return b""
        if not self._is_chunked:
            return self._take_plain()
        pieces = []
        while not self.is_whole and (piece := self._take_chunk()):
            pieces.append(piece)
        return b"".join(pieces)

    def _take_head(self) -> bool:
        head, end, rest = self._pending.partition(b"\r\n\r\n")
        if not end:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        parts = first.split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
            raise MalformedResponseError(f"not a status line: {first[:80]!r}")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.status = int(parts[1])
        self._is_chunked = fields.get("transfer-encoding", "") == "chunked"
        if "content-length" in fields:
            self._left = int(fields["content-length"])
        self.is_whole = self.status == 204 or self._left == 0
        self._pending = rest
        return True

    def _take_plain(self) -> bytes:
        body, self._pending = self._pending, b""
        if self._left is not None:
            self._left -= len(body)
            self.is_whole = self._left <= 0
        return body

    def _take_chunk(self) -> bytes:
        """Returns the received part of the next chunk; empty if its size line is incomplete, or at the end."""
        if self._left is None:
            size, end, rest = self._pending.partition(b"\r\n")
            if not end:
                return b""
            try:
                self._left = int(size, 16)
            except ValueError as error:
                raise MalformedResponseError(f"not a chunk size: {size[:40]!r}") from error
            self._pending = rest
        if self._left == 0:
            self.is_whole = self._pending.startswith(b"\r\n")
            return b""
        piece, self._pending = self._pending[: self._left], self._pending[self._left :]
        self._left -= len(piece)
        if self._left == 0:
            if len(self._pending) < 2:
                # CRLF follows the chunk. Keep the chunk's last byte until CRLF has arrived.
                self._pending, piece, self._left = piece[-1:] + self._pending, piece[:-1], 1
                return piece
            if not self._pending.startswith(b"\r\n"):
                raise MalformedResponseError("a chunk is longer than its stated size")
            self._pending, self._left = self._pending[2:], None
        return piece
