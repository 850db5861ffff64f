"""The calls of the AI SDK's `useChat`: an answer, and the same answer again after a page reload.

docs/protocol.md, section 10, specifies them, after the SDK's `HttpChatTransport`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import encode_json, parse_json
from contract.job_queue import JobQueue
from gateway.access.authenticator import Authenticator
from gateway.dialects.ai_sdk_replay import replay_message
from gateway.dialects.ai_sdk_request import to_chat_request
from gateway.dialects.registry import DIALECTS, UI, UI_CONTINUED
from gateway.fanout.hub import Hub, NoSuchStreamError
from gateway.fanout.local_viewers import LocalViewers
from gateway.fanout.responses import Respond
from gateway.http.body import parse_object
from gateway.http.errors import broker_unavailable, too_many_viewers
from gateway.http.models import check_body
from gateway.routes.models import ChatMessages, IdempotencyKey, OnDisconnect, UiChatRequest
from gateway.routes.new_viewer import new_viewer
from gateway.routes.openapi import ACCESS_ERRORS, NO_CONTENT, SSE, START_ERRORS, document
from gateway.runs.begin import RunStarter, parsing
from gateway.runs.chat_request import ChatRequest, Turn, check_chat_request, encode_sent
from gateway.runs.chats import LastAnswer, find_answer, read_messages, remember_answer


class AiSdkRoutes:
    """Answers to chats. `lifetime_ms`: how long the last answer of a chat is remembered."""

    def __init__(
        self,
        client: Client,
        authenticator: Authenticator,
        starter: RunStarter,
        *,
        queue: JobQueue,
        hub: Hub,
        local_viewers: LocalViewers,
        respond: Respond,
        lifetime_ms: int,
    ) -> None:
        self._client = client
        self._authenticator = authenticator
        self._starter = starter
        self._queue = queue
        self._hub = hub
        self._local_viewers = local_viewers
        self._respond = respond
        self._lifetime_ms = lifetime_ms

    def register(self, app: FastAPI) -> None:
        app.add_api_route(
            "/api/chat/{chat:path}/messages",
            self.messages,
            methods=["GET"],
            response_model=ChatMessages,
            **document("readChat", tag="ai-sdk", errors=ACCESS_ERRORS),
        )
        path = "/api/chat/{chat:path}/stream"
        streams: Mapping[int, Mapping[str, Any]] = {200: SSE, 204: NO_CONTENT}
        app.add_api_route(
            "/api/chat",
            self.answer,
            methods=["POST"],
            response_class=Response,
            **document("answerChat", tag="ai-sdk", body=UiChatRequest, errors=START_ERRORS, responses=streams),
        )
        app.add_api_route(
            path,
            self.resume,
            methods=["GET"],
            response_class=Response,
            **document("resumeChat", tag="ai-sdk", errors=ACCESS_ERRORS, responses=streams),
        )
        app.add_api_route(
            path,
            self.cancel,
            methods=["DELETE"],
            status_code=204,
            **document("stopChat", tag="ai-sdk", errors=ACCESS_ERRORS),
        )

    async def answer(
        self, request: Request, idempotency_key: IdempotencyKey = None, on_disconnect: OnDisconnect = None
    ) -> Response:
        """The next answer of a chat, in the UI message stream protocol."""
        # A page resumes the chat after a reload, and may be closed for long before.
        run = await self._starter.start_watched(
            request, parsing(parse_ui_request), idempotency_key, on_disconnect, may_return=True
        )
        stream_id, dialect = run.stream_id, run.dialect
        if (turn := run.turn) is not None:
            whose, lifetime_ms = run.caller.identity, self._lifetime_ms
            await remember_answer(
                self._client, whose, turn, stream_id=stream_id, dialect=dialect, lifetime_ms=lifetime_ms
            )
        headers = {**run.submitted.headers, "X-Stream-Ticket": run.submitted.control.text}
        return await self._show(request, stream_id, dialect, headers=headers, when_gone=run.when_gone)

    async def resume(self, request: Request, chat: str) -> Response:
        """The assistant's last message in a chat, from its start, whether it has ended or not; 204 if there is none."""
        answer = await self._find(request, chat)
        if answer is None:
            return Response(status_code=204)
        earlier = b"" if answer.continued is None else replay_message(parse_json(answer.continued))
        return await self._show(request, answer.stream_id, answer.dialect, prologue=earlier)

    async def messages(self, request: Request, chat: str) -> Response:
        """The messages of a chat before the one that `resume` shows: a page begins with them. Empty for a new chat."""
        caller = await self._authenticator.authenticate(request)
        messages = await read_messages(self._client, caller.identity, chat)
        # The page's own JSON, which need not be parsed: it may contain images.
        body = b'{"id":%b,"messages":%b}' % (encode_json(chat), messages)
        return Response(body, headers={"Cache-Control": "no-store"}, media_type="application/json")

    async def cancel(self, request: Request, chat: str) -> Response:
        """Stops the running answer of a chat, if there is one. Closing the connection does not stop it."""
        answer = await self._find(request, chat)
        if answer is not None:
            await self._queue.cancel(answer.stream_id)
        return Response(status_code=204)

    async def _find(self, request: Request, chat: str) -> LastAnswer | None:
        caller = await self._authenticator.authenticate(request)
        answer = await find_answer(self._client, caller.identity, chat)
        return answer if answer is not None and answer.dialect in DIALECTS else None

    async def _show(
        self,
        request: Request,
        stream_id: str,
        dialect: str,
        *,
        headers: Mapping[str, str] | None = None,
        when_gone: Callable[[], None] | None = None,
        prologue: bytes = b"",
    ) -> Response:
        headers = {**(headers or {}), "X-Stream-Id": stream_id}
        try:
            feed = await self._hub.open(stream_id, dialect)
            viewer = await new_viewer(self._hub, feed, when_gone=when_gone, prologue=prologue)
        except NoSuchStreamError:
            return Response(status_code=204)
        except (BrokerUnavailableError, BrokerRefusedError):
            # The run continues; `useChat` finds it again by its chat.
            raise broker_unavailable(headers) from None
        if not self._local_viewers.has_room(stream_id):
            raise too_many_viewers(headers)
        return self._respond(request, viewer, {**feed.dialect.headers, **headers})


def parse_ui_request(raw: bytes) -> ChatRequest:
    """Raises: ApiError 400."""
    fields = parse_object(raw)
    chat_id = check_body(UiChatRequest, fields).id
    chat = check_chat_request(to_chat_request(fields), sha256(raw).hexdigest())
    messages = fields["messages"]
    # After the result of a tool the page sends the assistant's message again, and the answer continues it.
    is_continued = messages[-1]["role"] == "assistant"
    turn = None
    if chat_id is not None:
        before, continued = (messages[:-1], encode_sent(messages[-1])) if is_continued else (messages, None)
        turn = Turn(chat_id, encode_sent(before), continued)
    return replace(chat, turn=turn, dialect=UI_CONTINUED if is_continued else UI)
