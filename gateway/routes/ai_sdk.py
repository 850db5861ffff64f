"""What `useChat` of the AI SDK calls: an answer, and the same answer again after a reload.

docs/protocol.md, section 10, is the source; the SDK's `HttpChatTransport` is what it follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from fastapi import APIRouter, Request
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
from gateway.fanout.viewer import Viewer
from gateway.http.body import parse_object
from gateway.http.errors import ApiError, broker_unavailable, gateway_stopping, too_many_viewers
from gateway.runs.chat_request import check_chat_request
from gateway.runs.chats import LastAnswer, find_answer, remember_answer
from gateway.runs.on_disconnect import DisconnectPolicy
from gateway.runs.submit import RunSubmitter

CHAT_ID_LIMIT_CHARS = 255


@dataclass(frozen=True, slots=True)
class Chats:
    """Answers to chats. `lifetime_ms`: how long a chat's last answer is remembered."""

    client: Client
    authenticator: Authenticator
    submitter: RunSubmitter
    queue: JobQueue
    hub: Hub
    presence: Presence
    disconnects: DisconnectPolicy
    respond: Respond
    lifetime_ms: int

    async def answer(self, request: Request) -> Response:
        """Begins a run and shows it. Raises: ApiError, BrokerUnavailableError, BrokerRefusedError."""
        caller = await self.authenticator.authenticate_start(request)
        raw = await self.submitter.read(request)
        body = parse_object(raw)
        chat = _check_chat(body.get("id"))
        asked = check_chat_request(to_chat_request(body), sha256(raw).hexdigest())
        cancels = self.disconnects.cancels(request.headers)
        if self.presence.draining:
            raise gateway_stopping("This gateway is being stopped. Nothing was started.")
        if not self.presence.has_room():
            raise too_many_viewers()
        submitted = await self.submitter.submit(caller, asked, request.headers.get("idempotency-key"))
        answer = LastAnswer(submitted.stream_id, UI_CONTINUED if continues(body) else UI)
        if chat is not None:
            await remember_answer(self.client, caller.name, chat, answer, self.lifetime_ms)
        headers = {**submitted.headers, "X-Stream-Ticket": submitted.control.text}
        return await self._show(request, answer, headers, cancels=cancels)

    async def resume(self, request: Request, chat: str) -> Response:
        """The chat's answer from its start, while it is under way. Raises: as `answer`."""
        answer = await self._find_running(request, chat)
        if answer is None:
            return Response(status_code=204)
        return await self._show(request, answer, {}, cancels=False)

    async def cancel(self, request: Request, chat: str) -> Response:
        """Ends the answer that is under way, if there is one. Raises: as `answer`."""
        answer = await self._find_running(request, chat)
        if answer is not None:
            await self.queue.cancel(answer.stream_id)
        return Response(status_code=204)

    async def _find_running(self, request: Request, chat: str) -> LastAnswer | None:
        caller = await self.authenticator.authenticate(request)
        answer = await find_answer(self.client, caller.name, chat)
        if answer is None or answer.dialect not in DIALECTS:
            return None
        record = await read_run(self.client, answer.stream_id)
        return None if record is None or record.status.is_final else answer

    async def _show(
        self, request: Request, answer: LastAnswer, headers: Mapping[str, str], *, cancels: bool
    ) -> Response:
        headers = {**headers, "X-Stream-Id": answer.stream_id}
        try:
            feed = await self.hub.open(answer.stream_id, answer.dialect)
        except NoSuchStreamError:
            return Response(status_code=204)
        except (BrokerUnavailableError, BrokerRefusedError):
            # The run goes on; `useChat` finds it again by its chat.
            raise broker_unavailable(headers) from None
        if not self.presence.has_room(answer.stream_id):
            raise too_many_viewers(headers)
        viewer = Viewer(feed, feed.entry, b"", self.hub.pages.read)
        if cancels:
            viewer.when_gone = lambda: self.disconnects.cancel(answer.stream_id)
        return self.respond(request, viewer, {**feed.dialect.headers, **headers})


def _check_chat(chat: object) -> str | None:
    if chat is None:
        return None
    if not isinstance(chat, str) or not 0 < len(chat) <= CHAT_ID_LIMIT_CHARS:
        text = f"'id' must be a string of 1 to {CHAT_ID_LIMIT_CHARS} characters."
        raise ApiError(400, "invalid_value", text, param="id")
    return chat


def ai_sdk_router(chats: Chats) -> APIRouter:
    """The routes, over these parts."""
    router = APIRouter(tags=["ai-sdk"])

    @router.post("/api/chat")
    async def answer(request: Request) -> Response:
        """The next answer of a chat, in the UI message stream protocol."""
        return await chats.answer(request)

    @router.get("/api/chat/{chat:path}/stream")
    async def resume(request: Request, chat: str) -> Response:
        """The answer that is under way, from its start; 204 where none is."""
        return await chats.resume(request, chat)

    @router.delete("/api/chat/{chat:path}/stream")
    async def cancel(request: Request, chat: str) -> Response:
        """Stops the answer that is under way: closing the connection does not."""
        return await chats.cancel(request, chat)

    return router
