"""A server that answers the pages as a test scripts it, in the format of docs/protocol.md. It runs nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tests.web.tickets import Tickets, refuse

PATIENCE_S = 60


def sse(name: str, data: Any, position: str | None = None) -> str:
    head = f"id: {position}\n" if position else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"


SIGNED_IN: dict[str, Any] = {
    "caller": "key:ann",
    "may_start": True,
    "sign_in": False,
    "message": None,
    "share_url": None,
}
NEARBY = {**SIGNED_IN, "share_url": "http://192.168.1.20:8000/"}
"""Signed in at a server that other devices reach at another address than this page's, which is one of this computer."""
SIGNED_OUT: dict[str, Any] = {
    "caller": None,
    "may_start": False,
    "sign_in": True,
    "message": "To start runs here, sign in.",
    "share_url": None,
}


class Peer:
    """Answers each request for events with the next of `answers`: a status, or the text of a 200.

    A text that ends in `…` is left open, and `say` continues it. The last answer is repeated. `asked` are the positions
    that viewers resumed from, `bodies` the requests for runs.
    """

    def __init__(self) -> None:
        self.answers: list[int | str] = [404]
        self.status: tuple[int, dict[str, Any]] = (200, {"status": "running", "position": "0-0"})
        self.refusal: Response | None = None
        self.models = [{"id": "m", "object": "model", "created": 0, "owned_by": "somebody"}]
        self.readiness = {"ready": True, "redis": True, "workers": 1, "draining": False}
        self.admission: dict[str, Any] | None = None
        """The answer of `/v1/session`. None: a gateway that is older than that call."""
        self.secret = "correct horse"
        self.asked: list[str | None] = []
        self.bodies: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.deleted: list[str] = []
        self.tickets = Tickets()
        self.url = ""
        self.admitting = asyncio.Event()
        """While it is not set, `POST /v1/streams` gets no answer."""
        self.admitting.set()
        self._open: list[asyncio.Queue[str]] = []

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/streams", self.start, methods=["POST"]),
            Route("/v1/streams", self.list_none),
            Route("/v1/streams/{id}/events", self.events),
            Route("/v1/streams/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/v1/streams/{id}/tickets", self.hand_out, methods=["POST", "DELETE"]),
            Route("/v1/streams/{id}/cookie", self.tickets.set_cookie, methods=["POST"]),
            Route("/v1/streams/{id}", self.describe),
            Route("/v1/streams/{id}", self.delete, methods=["DELETE"]),
            Route("/v1/session", self.admit, methods=["GET", "POST", "DELETE"]),
            Route("/v1/models", self.offer),
            Route("/readyz", self.ready),
        ]

    @property
    def lines(self) -> int:
        """The number of open answers."""
        return len(self._open)

    def tell(self, *answers: int | str) -> None:
        self.answers = list(answers)

    async def say(self, text: str) -> None:
        """Continues every open answer. Waits until there is one."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._open:
                await asyncio.sleep(0.01)
        for line in self._open:
            line.put_nowait(text)

    def hang_up(self) -> None:
        """Ends every open answer."""
        for line in self._open:
            line.put_nowait("")

    async def events(self, request: Request) -> Response:
        if refusal := self.tickets.refuse_viewer(request):
            return refusal
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
        if self.admission and not self.admission["may_start"]:
            return refuse(401, "missing_api_key", self.admission["message"])
        if self.refusal:
            return self.refusal
        hidden = self.bodies[-1].get("manycast", {}).get("visibility") == "private"
        stream_id = f"{'p_' if hidden else 's'}{len(self.bodies)}"
        control = self.tickets.ticket("control", stream_id)
        urls = {"cancel": f"/v1/streams/{stream_id}/cancel?ticket={control}"}
        return JSONResponse({"id": stream_id, "status": "queued", "tickets": {"control": control}, "urls": urls}, 201)

    async def list_none(self, request: Request) -> Response:
        if self.admission == SIGNED_OUT:
            return refuse(401, "missing_api_key", SIGNED_OUT["message"])
        return refuse(403, "runs_not_listed", "This gateway lists no runs.")

    async def cancel(self, request: Request) -> Response:
        if refusal := self.tickets.refuse_control(request):
            return refusal
        self.cancelled.append(request.path_params["id"])
        return JSONResponse({"id": self.cancelled[-1], "status": "cancelling"})

    async def delete(self, request: Request) -> Response:
        if refusal := self.tickets.refuse_control(request):
            return refusal
        self.deleted.append(request.path_params["id"])
        return JSONResponse({"id": self.deleted[-1], "deleted": True})

    async def hand_out(self, request: Request) -> Response:
        answer = self.tickets.create(request)
        if request.method == "DELETE" and answer.status_code == 200:
            self.hang_up()
        return answer

    async def admit(self, request: Request) -> Response:
        if self.admission is None:
            return refuse(404, "not_found", "Invalid URL (GET /v1/session)")
        if request.method == "DELETE":
            self.admission = SIGNED_OUT
            return Response(status_code=204)
        if request.method == "GET":
            return JSONResponse(self.admission)
        if self.refusal:
            return self.refusal
        if (await request.json())["secret"] != self.secret:
            return refuse(401, "wrong_secret", "That is neither the password nor an API key.")
        self.admission = SIGNED_IN
        answer = JSONResponse(self.admission)
        answer.set_cookie("manycast_session", "a-session", httponly=True, samesite="strict")
        return answer

    async def describe(self, request: Request) -> Response:
        if refusal := self.tickets.refuse_viewer(request):
            return refusal
        return JSONResponse(self.status[1], self.status[0])

    async def offer(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": self.models})

    async def ready(self, request: Request) -> Response:
        return JSONResponse(self.readiness)
