"""A provider that costs next to nothing and says in each chunk when it was sent. The simulator is the true one.

The request's `bench` object sets `chunks` and `chunks_per_s`. The text of a chunk is the time in nanoseconds, by the
clock that all processes of a machine share (CLOCK_MONOTONIC).
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
        # uvloop's are none of asyncio's classes, though they do the same.
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
        wish = json.loads(body)["bench"]
        self._left: int = wish["chunks"]
        self._pause_s = 1 / wish["chunks_per_s"]
        self._transport.write(HEAD)
        self._due_s = asyncio.get_running_loop().time()
        self._play()

    def _play(self) -> None:
        if self._transport.is_closing():
            return
        self._left -= 1
        chunk = CHUNK % (time.monotonic_ns(), b"null" if self._left else b'"stop"')
        if self._left:
            self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self._due_s += self._pause_s
            asyncio.get_running_loop().call_at(self._due_s, self._play)
        else:
            chunk += b"data: [DONE]\n\n"
            self._transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(chunk), chunk))


async def serve(port: int) -> None:
    """Until it is ended."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
