"""OpenAI's Responses API: docs/protocol.md, section 12, specifies it.

A response is a run like any other. Its request becomes a chat-completions request, and its events are made from the
provider's chunks, so it works with any provider of chat completions.
"""

from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.job_queue import JobQueue
from contract.position import Position
from contract.stream_log import StreamLog
from gateway.access.authenticator import Authenticator
from gateway.access.caller import Caller
from gateway.access.permissions import Permission, Permissions
from gateway.dialects.response_ids import stream_id_of
from gateway.dialects.responses import ResponsesDialect
from gateway.fanout.feed import Feed
from gateway.fanout.hub import Hub, NoSuchStreamError
from gateway.fanout.local_viewers import LocalViewers
from gateway.fanout.responses import Respond
from gateway.http.body import parse_object
from gateway.http.errors import ApiError, broker_unavailable, gateway_stopping, too_many_viewers
from gateway.http.json_response import JsonResponse
from gateway.http.large_body import LargeBody
from gateway.http.models import check_body
from gateway.http.root_path import prefix_of
from gateway.routes.models import (
    DeletedResponse,
    IdempotencyKey,
    OnDisconnect,
    ResponseItems,
    ResponseObject,
    RetryCount,
)
from gateway.routes.numbered_viewer import new_numbered_viewer
from gateway.routes.openapi import ACCESS_ERRORS, SSE, START_ERRORS, document
from gateway.routes.run_answers import Opening, RunAnswers, WholeAnswer, run_headers
from gateway.runs.begin import RunStarter
from gateway.runs.cancel import cancel_run
from gateway.runs.chat_request import ChatRequest
from gateway.runs.completion_cache import CompletionCache
from gateway.runs.response_request import ResponseRequest, check_combination, read_input, to_run
from gateway.runs.stored_responses import StoredResponse, StoredResponses, no_such_response

DIALECT = "responses"
BEFORE_ALL = -1

Limit = Annotated[int, Query(ge=1, le=100)]


class ResponseRoutes:
    """Starting, reading, cancelling and deleting responses."""

    def __init__(
        self,
        client: Client,
        authenticator: Authenticator,
        permissions: Permissions,
        starter: RunStarter,
        *,
        answers: RunAnswers,
        stored: StoredResponses,
        completions: CompletionCache,
        queue: JobQueue,
        hub: Hub,
        log: StreamLog,
        local_viewers: LocalViewers,
        respond: Respond,
    ) -> None:
        self._client = client
        self._authenticator = authenticator
        self._permissions = permissions
        self._starter = starter
        self._answers = answers
        self._stored = stored
        self._completions = completions
        self._queue = queue
        self._hub = hub
        self._log = log
        self._local_viewers = local_viewers
        self._respond = respond

    def register(self, app: FastAPI) -> None:
        path = "/v1/responses/{response_id}"
        app.add_api_route(
            "/v1/responses",
            self.create,
            methods=["POST"],
            response_model=ResponseObject,
            **document(
                "createResponse",
                tag="openai",
                body=ResponseRequest,
                errors=(*START_ERRORS, 404),
                responses={200: SSE},
                passes_provider_errors=True,
            ),
        )
        access: dict[str, Any] = {"tag": "openai", "takes_ticket": True, "errors": ACCESS_ERRORS}
        app.add_api_route(
            path,
            self.retrieve,
            methods=["GET"],
            response_model=ResponseObject,
            **document("readResponse", **access, responses={200: SSE}),
        )
        app.add_api_route(
            path,
            self.delete,
            methods=["DELETE"],
            response_model=DeletedResponse,
            **document("deleteResponse", **access),
        )
        app.add_api_route(
            f"{path}/cancel",
            self.cancel,
            methods=["POST"],
            response_model=ResponseObject,
            **document("cancelResponse", **access),
        )
        app.add_api_route(
            f"{path}/input_items",
            self.input_items,
            methods=["GET"],
            response_model=ResponseItems,
            **document("listInputItems", **access),
        )

    async def create(
        self,
        request: Request,
        idempotency_key: IdempotencyKey = None,
        on_disconnect: OnDisconnect = None,
        retries: RetryCount = 0,
    ) -> Response:
        """OpenAI's response: streamed, whole, or in the background."""
        run = await self._starter.start_watched(request, self._parse, idempotency_key, on_disconnect, retries=retries)
        headers = run_headers(run.submitted, prefix_of(request))
        stored = await self._stored.find(run.stream_id)
        if stored is None:
            raise no_such_response()
        if stored.is_background and run.stream:
            return await self._show(request, stored, BEFORE_ALL, headers, None)
        if stored.is_background:
            return JsonResponse(await self._stored.describe(stored), headers=headers)
        if run.stream:
            opening = Opening(DIALECT, stored.new_dialect, _write_beginning)
            return await self._answers.stream(request, run, headers, opening)

        async def read(end: Position) -> WholeAnswer:
            done, response = await self._stored.read_answer(stored, end)
            return WholeAnswer(done, lambda headers: JsonResponse(response, headers=headers))

        return await self._answers.whole(request, run, headers, read)

    async def _parse(self, caller: Caller, raw: bytes) -> ChatRequest:
        fields = parse_object(raw)
        body = check_body(ResponseRequest, fields)
        check_combination(body)
        context = await self._stored.read_context(caller, body.previous_response_id, read_input(body))
        return to_run(body, fields, raw, context)

    async def retrieve(
        self,
        response_id: str,
        request: Request,
        stream: bool = False,
        starting_after: Annotated[int, Query(ge=BEFORE_ALL)] = BEFORE_ALL,
    ) -> Response:
        """The response; or its events, after the one with the number `starting_after`."""
        stored, permission = await self._find(request, response_id)
        if stream:
            headers = {"X-Stream-Id": stored.stream_id}
            return await self._show(request, stored, starting_after, headers, permission)
        if not stored.record.status.is_final:
            return JsonResponse(await self._stored.describe(stored))
        await self._authenticator.check_reading_rate(request)
        async with AsyncExitStack() as holding:
            key = ("response", stored.stream_id, stored.record.last)
            using = self._completions.use(key, partial(self._stored.fold, stored))
            folded = await holding.enter_async_context(using)
            assert folded.body is not None
            return LargeBody((folded.body,), holding.pop_all(), {})

    async def cancel(self, response_id: str, request: Request) -> JsonResponse:
        """Stops the response. Answers when it has ended, or after a short wait."""
        stored, _ = await self._find(request, response_id)
        await cancel_run(self._client, self._queue, stored.stream_id)
        ended, _ = await self._find(request, response_id)
        return JsonResponse(await self._stored.describe(ended))

    async def delete(self, response_id: str, request: Request) -> JsonResponse:
        """Deletes the response and its stream. One that is still being written stops."""
        stored, _ = await self._find(request, response_id)
        await self._queue.delete(stored.stream_id)
        return JsonResponse({"id": response_id, "object": "response", "deleted": True})

    async def input_items(
        self,
        response_id: str,
        request: Request,
        limit: Limit = 20,
        order: Literal["asc", "desc"] = "desc",
        after: str | None = None,
    ) -> JsonResponse:
        """The items of the request, the newest first."""
        stored, _ = await self._find(request, response_id)
        caller = await self._authenticator.authenticate(request)
        items = await self._stored.read_input(caller, stored)
        if order == "desc":
            items.reverse()
        places = {item["id"]: place for place, item in enumerate(items)}
        begin = places.get(after, -1) + 1 if after else 0
        page = items[begin : begin + limit]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": "", "last_id": ""}
        return JsonResponse({"object": "list", "data": page, **ends, "has_more": begin + limit < len(items)})

    async def _find(self, request: Request, response_id: str) -> tuple[StoredResponse, Permission]:
        """Raises: ApiError 404, also for a response that this client may not control: it contains the request."""
        stream_id = stream_id_of(response_id)
        stored = None if stream_id is None else await self._stored.find(stream_id)
        if stored is None or not stored.is_kept:
            raise no_such_response(response_id)
        try:
            return stored, await self._permissions.check_control(request, stored.stream_id)
        except ApiError as error:
            if error.code in ("ticket_missing", "stream_not_found"):
                raise no_such_response(response_id) from None
            raise

    async def _show(
        self,
        request: Request,
        stored: StoredResponse,
        after: int,
        headers: dict[str, str],
        permission: Permission | None,
    ) -> Response:
        """`permission` is None for the caller who has just started the response."""
        if self._local_viewers.draining:
            text = "This gateway is being stopped. The run continues and can be watched from another one."
            raise gateway_stopping(text, headers)
        if not self._local_viewers.has_room(stored.stream_id):
            raise too_many_viewers(headers)
        try:
            feed = await self._hub.open(stored.stream_id, DIALECT, stored.new_dialect)
            viewer = await new_numbered_viewer(self._hub, self._log, feed, after)
        except NoSuchStreamError:
            raise no_such_response() from None
        except (BrokerUnavailableError, BrokerRefusedError):
            raise broker_unavailable(headers) from None
        if permission is not None and permission.ticket is not None:
            viewer.ticket_round = permission.record.revoked
        return self._respond(request, viewer, {**feed.dialect.headers, **headers})


def _write_beginning(feed: Feed) -> bytes:
    assert isinstance(feed.dialect, ResponsesDialect)
    return b"" if feed.dialect.begins_again else feed.dialect.write_beginning()
