"""A peer that speaks docs/protocol.md as a test tells it to. No gateway: it holds no stream, starts no run."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

PATIENCE_S = 15


def sse(name: str, data: Any, position: str | None = None) -> str:
    head = f"id: {position}\n" if position else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"


class Peer:
    """Answers each request for events with the next of `answers`: a status, or the text of a 200.

    A text that ends in `…` is left open; `say` goes on there. The last answer is repeated. `asked` holds the positions
    viewers resumed from, `bodies` what was asked of the model.
    """

    def __init__(self) -> None:
        self.answers: list[int | str] = [404]
        self.status: tuple[int, dict[str, Any]] = (200, {"status": "running", "position": "0-0"})
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.models = [{"id": "m", "object": "model", "created": 0, "owned_by": "somebody"}]
        self.readiness = {"ready": True, "redis": True, "workers": 1, "draining": False}
        self.asked: list[str | None] = []
        self.bodies: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.url = ""
        self.admitting = asyncio.Event()
        """While it is not set, nobody is told that a run was taken."""
        self.admitting.set()
        self._open: list[asyncio.Queue[str]] = []

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/streams", self.start, methods=["POST"]),
            Route("/v1/streams/{id}/events", self.events),
            Route("/v1/streams/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/v1/streams/{id}", self.describe),
            Route("/v1/models", self.offer),
            Route("/readyz", self.ready),
        ]

    @property
    def lines(self) -> int:
        """How many answers are open."""
        return len(self._open)

    def tell(self, *answers: int | str) -> None:
        self.answers = list(answers)

    async def say(self, text: str) -> None:
        """More of every open answer, as soon as there is one: what is said to nobody would be lost."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._open:
                await asyncio.sleep(0.01)
        for line in self._open:
            line.put_nowait(text)

    def hang_up(self) -> None:
        """The end of every open answer."""
        for line in self._open:
            line.put_nowait("")

    async def events(self, request: Request) -> Response:
        self.asked.append(request.headers.get("last-event-id") or request.query_params.get("after"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            return Response(status_code=answer)
        return StreamingResponse(self._body(answer), media_type="text/event-stream")

    async def _body(self, text: str) -> AsyncIterator[str]:
        line: asyncio.Queue[str] = asyncio.Queue()
        self._open.append(line)
        try:
            yield "retry: 50\n\n" + text.removesuffix("…")
            while text.endswith("…") and (more := await line.get()):
                yield more
        finally:
            self._open.remove(line)

    async def start(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        await self.admitting.wait()
        if self.refusal:
            return JSONResponse(self.refusal[1], self.refusal[0])
        return JSONResponse({"id": f"s{len(self.bodies)}", "status": "queued", "urls": {}}, 201)

    async def cancel(self, request: Request) -> Response:
        self.cancelled.append(request.path_params["id"])
        return JSONResponse({"id": self.cancelled[-1], "status": "cancelling"})

    async def describe(self, request: Request) -> Response:
        return JSONResponse(self.status[1], self.status[0])

    async def offer(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": self.models})

    async def ready(self, request: Request) -> Response:
        return JSONResponse(self.readiness)
