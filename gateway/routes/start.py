"""`POST /v1/streams`: start a run. docs/protocol.md, section 5, specifies it."""

from fastapi import FastAPI, Request

from contract.connection import Client
from contract.run_record import read_run
from gateway.access.permissions import Permissions
from gateway.access.tickets import Scope
from gateway.http.json_response import JsonResponse
from gateway.http.stream_urls import urls_of
from gateway.runs.begin import RunStarter
from gateway.runs.chat_request import parse_chat_request


class StartRoutes:
    """Starting a run without watching it. `view_s`: how long the first view ticket of a private stream is valid."""

    def __init__(self, client: Client, starter: RunStarter, permissions: Permissions, view_s: int) -> None:
        self._client = client
        self._starter = starter
        self._permissions = permissions
        self._view_s = view_s

    def register(self, app: FastAPI) -> None:
        app.add_api_route("/v1/streams", self.start, methods=["POST"], status_code=201, tags=["streams"])

    async def start(self, request: Request) -> JsonResponse:
        """Queues a run. The body is OpenAI's chat-completions request."""
        run = await self._starter.start(request, parse_chat_request, request.headers.get("idempotency-key"))
        stream_id, tickets = run.stream_id, {"control": run.submitted.control.text}
        record = await read_run(self._client, stream_id)
        if run.chat.private:
            revoked = record.revoked if record else 0
            view = await self._permissions.give(stream_id, Scope.VIEW, lifetime_s=self._view_s, revoked=revoked)
            tickets["view"] = view.text
        body = {
            "id": stream_id,
            "status": record.status if record else "queued",
            "visibility": "private" if run.chat.private else "unlisted",
            "tickets": tickets,
            "urls": urls_of(stream_id, **tickets),
        }
        headers = {**run.submitted.headers, "Location": urls_of(stream_id)["status"]}
        return JsonResponse(body, 201 if run.submitted.is_new else 200, headers=headers)
