"""A peer that speaks docs/protocol.md as a test tells it to. No gateway: it holds no stream, starts no run."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse


def sse(name: str, data: Any, position: str | None = None) -> str:
    head = f"id: {position}\n" if position else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"


class Peer:
    """Answers each request for events with the next of `answers`: a status, or the text of a 200.

    A text that ends in `…` is left open, as a quiet line is. The last answer is repeated. `asked` holds the
    positions viewers resumed from.
    """

    def __init__(self) -> None:
        self.answers: list[int | str] = []
        self.status: tuple[int, dict[str, Any]] = (200, {"status": "running", "position": "0-0"})
        self.asked: list[str | None] = []
        self.url = ""
        self._closing = asyncio.Event()

    def tell(self, *answers: int | str) -> None:
        self.answers = list(answers)

    async def events(self, request: Request) -> Response:
        self.asked.append(request.headers.get("last-event-id") or request.query_params.get("after"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            return Response(status_code=answer)

        async def body() -> AsyncIterator[str]:
            yield "retry: 50\n\n" + answer.removesuffix("…")
            if answer.endswith("…"):
                await self._closing.wait()

        return StreamingResponse(body(), media_type="text/event-stream")

    async def describe(self, request: Request) -> Response:
        status, body = self.status
        return JSONResponse(body, status)

    def close(self) -> None:
        self._closing.set()
