"""A server on a real port that answers as each test scripts it, with every fault that a network has.

It writes HTTP itself, because no HTTP library can break off in the middle of a line.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

STREAM_ID = "abcdefghijklmnopqrstuv"


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def stream_id(self) -> str:
        return self.path.split("/")[3]


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class ScriptedServer:
    """`answer` is called for each request; `requests` are all that came, oldest first."""

    url: str = ""
    answer: Answer = field(init=False)
    requests: list[Request] = field(default_factory=list)


@asynccontextmanager
async def open_scripted_server() -> AsyncIterator[ScriptedServer]:
    scripted_server = ScriptedServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            request = await read_request(reader)
            scripted_server.requests.append(request)
            await scripted_server.answer(request, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    scripted_server.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield scripted_server
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, path, _ = first.split(" ")
    return Request(method, path, headers, body)


def write_head(writer: asyncio.StreamWriter, status: int, kind: str, **headers: str) -> None:
    lines = [f"HTTP/1.1 {status} Status", f"Content-Type: {kind}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())


def write_json(writer: asyncio.StreamWriter, status: int, body: object, **headers: str) -> None:
    write_head(writer, status, "application/json", **headers)
    writer.write(json.dumps(body).encode())


def write_refusal(writer: asyncio.StreamWriter, status: int, code: str, detail: str, **headers: str) -> None:
    error = {"message": detail, "type": "invalid_request_error", "param": None, "code": code}
    write_json(writer, status, {"error": error}, **headers)


def write_events(writer: asyncio.StreamWriter, pieces: bytes, whole_length: int | None = None) -> None:
    """With a `whole_length` beyond the pieces, the end of the connection is a broken one."""
    length = {} if whole_length is None else {"Content_Length": str(whole_length)}
    write_head(writer, 200, "text/event-stream", **length)
    writer.write(pieces)


def frame(name: str, data: object, position: str | None = None) -> bytes:
    lines = [f"id: {position}"] if position else []
    return "\n".join([*lines, f"event: {name}", f"data: {json.dumps(data)}", "", ""]).encode()


def log_of(events: Sequence[tuple[str, str, object]], after: str | None = None) -> bytes:
    """The response body for the events after a position, in full."""
    positions = [position for position, _, _ in events]
    first = 0 if after is None else positions.index(after) + 1
    frames = [frame(name, data, position) for position, name, data in events[first:]]
    return b"retry: 1\n\n" + frame("ping", {"state": "streaming"}) + b"".join(frames)


def delta(text: str, **others: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **others}


def done(status: str = "completed", error: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "status": status,
        "finish_reason": "stop" if status == "completed" else None,
        "usage": None,
        "error": error,
        "timing": {"queued_ms": 1, "first_chunk_ms": 2, "total_ms": 3},
    }


SHARED = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "demo"}

LOG: list[tuple[str, str, object]] = [
    ("1-1", "start", {"stream": STREAM_ID, "epoch": 1, "chunk": SHARED}),
    ("1-2", "chunk", delta("Hel")),
    ("1-3", "chunk", delta("lo \u2028 \N{GRINNING FACE}", model="demo-2")),
    ("1-4", "chunk", {"$unset": ["created"], "$$unset": 7, **delta("é")}),
    ("2-1", "restart", {"epoch": 2, "reason": "worker_lost"}),
    ("2-2", "start", {"stream": STREAM_ID, "epoch": 2, "chunk": {**SHARED, "id": "chatcmpl-2"}}),
    ("2-3", "chunk", delta("Hi")),
    ("2-4", "done", done()),
]
