"""`POST /v1/chat/completions`: OpenAI's own call. docs/protocol.md, section 9, is the source.

A run is started, or found by its key, as everywhere; this client is its first viewer. It is answered with a status only
once there is something to say: an SDK tells by it what went wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import Status
from contract.stream_log import StreamLog
from gateway.access.authenticator import Authenticator
from gateway.dialects.openai import OpenAIDialect
from gateway.dialects.registry import NATIVE, OPENAI, OPENAI_USAGE
from gateway.fanout.feed import Feed, FeedStatus
from gateway.fanout.hub import Hub, NoSuchStreamError
from gateway.fanout.presence import Presence
from gateway.fanout.responses import Respond
from gateway.fanout.viewer import Viewer
from gateway.http.errors import GONE_STATUS, broker_unavailable, gateway_stopping, too_many_viewers
from gateway.http.run_errors import CANCELLED, STREAM_LOST, refuse
from gateway.http.stream_urls import no_such_stream, urls_of
from gateway.runs.chat_request import ChatRequest, parse_chat_request
from gateway.runs.on_disconnect import DisconnectPolicy
from gateway.runs.read_completion import completion_response, read_completion
from gateway.runs.submit import RunSubmitter, SubmittedRun
from gateway.runs.wait import ClientGoneError, DismissedError, RunWaiter


class _FailedRunError(Exception):
    """The run has ended, and this client has read nothing of it."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.error = error


@dataclass(frozen=True, slots=True)
class ChatCompletions:
    """Answers, streamed and whole. `head_wait_s`: how long a stream's first chunk may take until its status is sent."""

    authenticator: Authenticator
    submitter: RunSubmitter
    hub: Hub
    log: StreamLog
    presence: Presence
    disconnects: DisconnectPolicy
    respond: Respond
    head_wait_s: float

    async def answer(self, request: Request) -> Response:
        """Raises: ApiError, BrokerUnavailableError, BrokerRefusedError."""
        caller = await self.authenticator.authenticate_start(request)
        chat = parse_chat_request(await self.submitter.read(request))
        cancels = self.disconnects.cancels(request.headers)
        if self.presence.draining:
            raise gateway_stopping("This gateway is being stopped. Nothing was started.")
        if not self.presence.has_room():
            raise too_many_viewers()
        submitted = await self.submitter.submit(caller, chat, request.headers.get("idempotency-key"))
        headers = _headers(submitted)
        try:
            async with RunWaiter(request, submitted.stream_id, self.hub, self.presence) as waiter:
                if not chat.stream:
                    return await self._answer_whole(waiter, headers)
                feed = await self._wait_for_word(waiter, chat)
            return self._answer_streamed(request, feed, headers, cancels=cancels)
        except _FailedRunError as failed:
            # With its key a repeated request gets the same answer. SDKs obey this header.
            once = {"X-Should-Retry": "false"} if submitted.has_key else {}
            raise refuse(failed.error, {**headers, **once}) from None
        except ClientGoneError:
            if cancels:
                self.disconnects.cancel(submitted.stream_id)
            return Response(status_code=GONE_STATUS)
        except DismissedError:
            text = "This gateway is being stopped. The run goes on: the same Idempotency-Key finds it again."
            raise gateway_stopping(text, headers) from None
        except (BrokerUnavailableError, BrokerRefusedError):
            raise broker_unavailable(headers) from None

    async def _wait_for_word(self, waiter: RunWaiter, chat: ChatRequest) -> Feed:
        feed = await self._open(waiter, OPENAI_USAGE if chat.include_usage else OPENAI)
        await waiter.wait(feed, lambda: feed.over or _written(feed).said, self.head_wait_s)
        return feed

    async def _open(self, waiter: RunWaiter, dialect: str) -> Feed:
        try:
            return await waiter.open(dialect, self.head_wait_s)
        except NoSuchStreamError:
            raise no_such_stream(waiter.stream_id) from None

    def _answer_streamed(self, request: Request, feed: Feed, headers: Mapping[str, str], *, cancels: bool) -> Response:
        error = STREAM_LOST if feed.status is FeedStatus.LOST else _written(feed).error
        if error is not None and not _written(feed).said:
            raise _FailedRunError(error)
        viewer = Viewer(feed, feed.entry, b"", self.hub.pages.read)
        if cancels:
            viewer.when_gone = lambda: self.disconnects.cancel(feed.stream_id)
        return self.respond(request, viewer, {**feed.dialect.headers, **headers})

    async def _answer_whole(self, waiter: RunWaiter, headers: Mapping[str, str]) -> Response:
        feed = await self._open(waiter, NATIVE)
        await waiter.wait(feed, lambda: feed.over, None)
        if feed.status is FeedStatus.LOST:
            raise _FailedRunError(STREAM_LOST)
        fold = await read_completion(self.log, waiter.stream_id)
        done = fold.done or {}
        if done.get("status") == Status.CANCELLED:
            raise _FailedRunError(CANCELLED)
        if done.get("status") != Status.COMPLETED:
            raise _FailedRunError(done.get("error") or STREAM_LOST)
        return completion_response(fold.result(), headers)


def _written(feed: Feed) -> OpenAIDialect:
    assert isinstance(feed.dialect, OpenAIDialect)
    return feed.dialect


def _headers(submitted: SubmittedRun) -> dict[str, str]:
    """Where else the run can be found. The relation types are IANA's: RFC 5989, RFC 8631 and HTML."""
    urls = urls_of(submitted.stream_id)
    links = (
        f'<{urls["events"]}>; rel="monitor"; type="text/event-stream"',
        f'<{urls["status"]}>; rel="status"; type="application/json"',
        f'<{urls["page"]}>; rel="alternate"; type="text/html"',
    )
    return {
        **submitted.headers,
        "X-Stream-Id": submitted.stream_id,
        "X-Request-Id": submitted.stream_id,
        "X-Stream-Ticket": submitted.control.text,
        "Link": ", ".join(links),
    }


def chat_completions_router(calls: ChatCompletions) -> APIRouter:
    """The route, over these parts."""
    router = APIRouter(tags=["openai"])

    @router.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        """OpenAI's chat completion, streamed or whole."""
        return await calls.answer(request)

    return router
