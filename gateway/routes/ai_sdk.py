"""The calls of the AI SDK's `useChat`: an answer, and the same answer again after a page reload.

docs/protocol.md, section 10, specifies them, after the SDK's `HttpChatTransport`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256

from fastapi import FastAPI, Request
from starlette.responses import Response

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.job_queue import JobQueue
from contract.run_record import read_run
from gateway.access.authenticator import Authenticator
from gateway.dialects.ai_sdk_messages import continues, to_chat_request
from gateway.dialects.registry import DIALECTS, UI, UI_CONTINUED
from gateway.fanout.hub import Hub, NoSuchStreamError
from gateway.fanout.presence import Presence
from gateway.fanout.responses import Respond
from gateway.http.body import parse_object
from gateway.http.errors import ApiError, broker_unavailable, too_many_viewers
from gateway.routes.new_viewer import new_viewer
from gateway.runs.begin import RunStarter
from gateway.runs.chat_request import ChatRequest, check_chat_request
from gateway.runs.chats import LastAnswer, find_answer, remember_answer

CHAT_ID_LIMIT_CHARS = 255


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
        presence: Presence,
        respond: Respond,
        lifetime_ms: int,
    ) -> None:
        self._client = client
        self._authenticator = authenticator
        self._starter = starter
        self._queue = queue
        self._hub = hub
        self._presence = presence
        self._respond = respond
        self._lifetime_ms = lifetime_ms

    def register(self, app: FastAPI) -> None:
        path = "/api/chat/{chat:path}/stream"
        app.add_api_route("/api/chat", self.answer, methods=["POST"], tags=["ai-sdk"])
        app.add_api_route(path, self.resume, methods=["GET"], tags=["ai-sdk"])
        app.add_api_route(path, self.cancel, methods=["DELETE"], tags=["ai-sdk"])

    async def answer(self, request: Request) -> Response:
        """The next answer of a chat, in the UI message stream protocol."""
        run = await self._starter.begin(
            request,
            parse_ui_request,
            request.headers.get("idempotency-key"),
            request.headers.get("x-on-disconnect"),
        )
        answer = LastAnswer(run.stream_id, run.chat.dialect)
        if run.chat.chat_id is not None:
            await remember_answer(self._client, run.caller.name, run.chat.chat_id, answer, self._lifetime_ms)
        headers = {**run.submitted.headers, "X-Stream-Ticket": run.submitted.control.text}
        return await self._show(request, answer, headers, self._starter.cancel_on_disconnect(run))

    async def resume(self, request: Request, chat: str) -> Response:
        """The running answer of a chat, from its start; 204 if there is none."""
        answer = await self._find_running(request, chat)
        if answer is None:
            return Response(status_code=204)
        return await self._show(request, answer, {}, None)

    async def cancel(self, request: Request, chat: str) -> Response:
        """Stops the running answer of a chat, if there is one. Closing the connection does not stop it."""
        answer = await self._find_running(request, chat)
        if answer is not None:
            await self._queue.cancel(answer.stream_id)
        return Response(status_code=204)

    async def _find_running(self, request: Request, chat: str) -> LastAnswer | None:
        caller = await self._authenticator.authenticate(request)
        answer = await find_answer(self._client, caller.name, chat)
        if answer is None or answer.dialect not in DIALECTS:
            return None
        record = await read_run(self._client, answer.stream_id)
        return None if record is None or record.status.is_final else answer

    async def _show(
        self, request: Request, answer: LastAnswer, headers: Mapping[str, str], when_gone: Callable[[], None] | None
    ) -> Response:
        headers = {**headers, "X-Stream-Id": answer.stream_id}
        try:
            feed = await self._hub.open(answer.stream_id, answer.dialect)
            viewer = await new_viewer(self._hub, feed, when_gone=when_gone)
        except NoSuchStreamError:
            return Response(status_code=204)
        except (BrokerUnavailableError, BrokerRefusedError):
            # The run continues; `useChat` finds it again by its chat.
            raise broker_unavailable(headers) from None
        if not self._presence.has_room(answer.stream_id):
            raise too_many_viewers(headers)
        return self._respond(request, viewer, {**feed.dialect.headers, **headers})


def parse_ui_request(raw: bytes) -> ChatRequest:
    """Raises: ApiError 400."""
    body = parse_object(raw)
    chat_id = _check_chat(body.get("id"))
    chat = check_chat_request(to_chat_request(body), sha256(raw).hexdigest())
    return replace(chat, chat_id=chat_id, dialect=UI_CONTINUED if continues(body) else UI)


def _check_chat(chat: object) -> str | None:
    if chat is None:
        return None
    if not isinstance(chat, str) or not 0 < len(chat) <= CHAT_ID_LIMIT_CHARS:
        text = f"'id' must be a string of 1 to {CHAT_ID_LIMIT_CHARS} characters."
        raise ApiError(400, "invalid_value", text, param="id")
    return chat
