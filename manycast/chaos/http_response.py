"""Reads one HTTP/1.1 response that may be cut at any byte. No I/O. The only module that imports `h11`.

Not a client: a chaos viewer closes its connection at a planned byte and needs everything that it received before.
"""

import h11


class MalformedResponseError(ValueError):
    """The bytes are not an HTTP response."""


class ResponseReader:
    """`feed` returns the bytes of the body. `status` is 0 until the head is complete; `is_whole`: the body ended.

    `status` is that of the final response: an interim one (1xx) precedes it and is skipped.
    """

    def __init__(self) -> None:
        self.status = 0
        self.is_whole = False
        self._connection = h11.Connection(h11.CLIENT)
        # h11 reads no response without a request.
        self._connection.send(h11.Request(method="GET", target="/", headers=[("Host", "gateway")]))
        self._connection.send(h11.EndOfMessage())

    def feed(self, received: bytes) -> bytes:
        """The bytes of the body in `received`. Raises: MalformedResponseError."""
        if not received:
            # h11 would take this for the end of the connection, which ends a body without a length in order.
            return b""
        pieces: list[bytes] = []
        try:
            self._connection.receive_data(received)
            while not self.is_whole:
                event = self._connection.next_event()
                if isinstance(event, h11.Response):
                    self.status = event.status_code
                elif isinstance(event, h11.Data):
                    pieces.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self.is_whole = True
                elif not isinstance(event, h11.InformationalResponse):
                    break
        except h11.RemoteProtocolError as error:
            raise MalformedResponseError(str(error)) from error
        return b"".join(pieces)
