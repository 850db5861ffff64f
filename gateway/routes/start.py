"""Start a run without watching it, also from a step of another run. docs/protocol.md, sections 5 and 14."""

from contextlib import AsyncExitStack

from fastapi import FastAPI, Request

from contract.connection import Client
from contract.event import Status
from contract.run_record import read_run
from gateway.access.caller import Caller
from gateway.access.tickets import Scope, Tickets
from gateway.http.json_response import JsonResponse
from gateway.http.root_path import prefix_of
from gateway.http.stream_urls import urls_of
from gateway.routes.models import ControlTickets, IdempotencyKey, StartedRun, StreamIdPath
from gateway.routes.openapi import START_ERRORS, document
from gateway.runs.begin import BegunRun, RunStarter, parsing
from gateway.runs.chat_request import ChatCompletionRequest, ChatRequest, parse_chat_request
from gateway.runs.run_again import RunAgainRequest, RunsAgain


class StartRoutes:
    """Starting a run without watching it. `view_s`: how long the first view ticket of a private stream is valid."""

    def __init__(self, client: Client, starter: RunStarter, tickets: Tickets, again: RunsAgain, view_s: int) -> None:
        self._client = client
        self._starter = starter
        self._tickets = tickets
        self._again = again
        self._view_s = view_s

    def register(self, app: FastAPI) -> None:
        app.add_api_route(
            "/v1/streams",
            self.start,
            methods=["POST"],
            status_code=201,
            response_model=StartedRun,
            **document(
                "startRun",
                tag="streams",
                body=ChatCompletionRequest,
                errors=START_ERRORS,
                responses={200: {"model": StartedRun, "description": "An earlier request with this key started it."}},
            ),
        )

        app.add_api_route(
            "/v1/streams/{stream_id}/again",
            self.start_again,
            methods=["POST"],
            status_code=201,
            response_model=StartedRun,
            **document(
                "runAgain",
                tag="streams",
                body=RunAgainRequest,
                errors=(*START_ERRORS, 404, 409),
                responses={200: {"model": StartedRun, "description": "An earlier request with this key started it."}},
            ),
        )

    async def start(self, request: Request, idempotency_key: IdempotencyKey = None) -> JsonResponse:
        """Queues a run. The body is OpenAI's chat-completions request."""
        return await self._answer(
            request, await self._starter.start(request, parsing(parse_chat_request), idempotency_key)
        )

    async def start_again(
        self, stream_id: StreamIdPath, request: Request, idempotency_key: IdempotencyKey = None
    ) -> JsonResponse:
        """Queues a run of the same script that goes on from one of its steps."""

        async with AsyncExitStack() as held:

            async def parse(caller: Caller, body: bytes) -> ChatRequest:
                # Not before: a slow client would hold it while it sends its body.
                await held.enter_async_context(self._again.copying)
                return await self._again.parse(caller, stream_id, body)

            run = await self._starter.start(request, parse, idempotency_key)
        return await self._answer(request, run)

    async def _answer(self, request: Request, run: BegunRun) -> JsonResponse:
        stream_id, given = run.stream_id, ControlTickets(control=run.submitted.control.text)
        record, prefix = await read_run(self._client, stream_id), prefix_of(request)
        if run.private:
            revoked = record.revoked if record else 0
            view = await self._tickets.give(stream_id, Scope.VIEW, lifetime_s=self._view_s, revoked=revoked)
            given.view = view.text
        body = StartedRun(
            id=stream_id,
            status=record.status if record else Status.QUEUED,
            visibility="private" if run.private else "unlisted",
            tickets=given,
            urls=urls_of(stream_id, prefix, view=given.view, control=given.control),
        )
        headers = {**run.submitted.headers, "Location": urls_of(stream_id, prefix).status}
        return JsonResponse(body, 201 if run.submitted.is_new else 200, headers=headers)
