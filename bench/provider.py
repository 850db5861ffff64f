"""A minimal provider that uses very little CPU. The text of each chunk is the time at which it was sent.

The request's `bench` object sets `chunks` and `chunks_per_s`. Times are nanoseconds of CLOCK_MONOTONIC, which all
processes of a machine share.
"""

import asyncio
import json
import sys
import time

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
MODELS = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n{"object":"list","data":[]}'
CHUNK = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1767225600,"model":"bench","choices":'
    b'[{"index":0,"delta":{"content":"%d"},"logprobs":null,"finish_reason":%b}],"service_tier":"default",'
    b'"system_fingerprint":"fp_0123456789"}\n\n'
)


class Connection(asyncio.Protocol):
    """Answers one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the same methods but do not inherit from asyncio.Transport.
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        self._received = b""
        if head.startswith(b"GET"):
            self._transport.write(MODELS)
            return
        options = json.loads(body)["bench"]
        self._left: int = options["chunks"]
        self._pause_s = 1 / options["chunks_per_s"]
        self._transport.write(HEAD)
        self._due_s = asyncio.get_running_loop().time()
        self._send_chunk()

    def _send_chunk(self) -> None:
        if self._transport.is_closing():
            return
        self._left -= 1
        chunk = CHUNK % (time.monotonic_ns(), b"null" if self._left else b'"stop"')
        if self._left:
            self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self._due_s += self._pause_s
            asyncio.get_running_loop().call_at(self._due_s, self._send_chunk)
        else:
            chunk += b"data: [DONE]\n\n"
            self._transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(chunk), chunk))


async def serve(port: int) -> None:
    """Serves until the process ends."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
