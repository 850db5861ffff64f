"""`POST /v1/chat/completions`: OpenAI's own call. docs/protocol.md, section 9, specifies it.

The call starts a run, or finds it by its Idempotency-Key, and the caller is the run's first viewer. The gateway sends
the status with the first chunk, because SDKs learn from the status what went wrong.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import Status
from contract.stream_log import StreamLog
from gateway.dialects.openai import OpenAIDialect
from gateway.dialects.registry import NATIVE
from gateway.fanout.feed import Feed, FeedStatus
from gateway.fanout.hub import Hub, NoSuchStreamError
from gateway.fanout.local_viewers import LocalViewers
from gateway.fanout.responses import Respond
from gateway.http.errors import GONE_STATUS, ApiError, broker_unavailable, gateway_stopping
from gateway.http.json_response import JsonResponse
from gateway.http.root_path import prefix_of
from gateway.http.run_errors import CANCELLED, STREAM_LOST, to_api_error
from gateway.http.stream_urls import no_such_stream, urls_of
from gateway.routes.models import Completion, IdempotencyKey, OnDisconnect, RetryCount
from gateway.routes.new_viewer import new_viewer
from gateway.routes.openapi import SSE, START_ERRORS, document
from gateway.routes.slow_completion import SlowCompletion
from gateway.runs.begin import BegunRun, RunStarter
from gateway.runs.chat_request import ChatCompletionRequest, parse_chat_request
from gateway.runs.read_completion import read_completion
from gateway.runs.submit import SubmittedRun
from gateway.runs.wait import ClientGoneError, DismissedError, RunWaiter


class _FailedRunError(Exception):
    """The run has failed, and this caller has not received any of it."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.error = error


class ChatCompletionRoutes:
    """Streamed and whole completions.

    `head_wait_s`: how long the status waits for the first chunk of a stream, or for the whole answer. After that, the
    gateway sends 200, and something every `ping_interval_s`.
    """

    def __init__(
        self,
        starter: RunStarter,
        hub: Hub,
        log: StreamLog,
        local_viewers: LocalViewers,
        respond: Respond,
        *,
        head_wait_s: float,
        ping_interval_s: float,
    ) -> None:
        self._starter = starter
        self._hub = hub
        self._log = log
        self._local_viewers = local_viewers
        self._respond = respond
        self._head_wait_s = head_wait_s
        self._ping_interval_s = ping_interval_s

    def register(self, app: FastAPI) -> None:
        app.add_api_route(
            "/v1/chat/completions",
            self.complete,
            methods=["POST"],
            response_model=Completion,
            **document(
                "createChatCompletion",
                tag="openai",
                body=ChatCompletionRequest,
                errors=START_ERRORS,
                responses={200: SSE},
                passes_provider_errors=True,
            ),
        )

    async def complete(
        self,
        request: Request,
        idempotency_key: IdempotencyKey = None,
        on_disconnect: OnDisconnect = None,
        retries: RetryCount = 0,
    ) -> Response:
        """OpenAI's chat completion, streamed or whole."""
        run = await self._starter.start_watched(
            request, parse_chat_request, idempotency_key, on_disconnect, retries=retries
        )
        headers = _headers(run.submitted, prefix_of(request))
        if not run.stream:
            return await self._answer_whole(request, run, headers)
        return await self._answer_streamed(request, run, headers)

    async def _answer_streamed(self, request: Request, run: BegunRun, headers: Mapping[str, str]) -> Response:
        with self._reporting_failures(run, headers):
            async with RunWaiter(request, run.stream_id, self._hub, self._local_viewers) as waiter:
                feed = await self._wait_for_first_chunk(waiter, run)
            _check_failure(feed)
            viewer = await new_viewer(self._hub, feed, when_gone=self._starter.cancel_on_disconnect(run))
            return self._respond(request, viewer, {**feed.dialect.headers, **headers})

    async def _answer_whole(self, request: Request, run: BegunRun, headers: Mapping[str, str]) -> Response:
        response = await self._read_whole(request, run, headers, self._head_wait_s)
        if response is not None:
            return response
        # An error of `read` cuts the response, and the retry of the client reads the error.
        read = partial(self._read_whole, request, run, headers, None)
        return SlowCompletion(read, headers, self._ping_interval_s)

    async def _read_whole(
        self, request: Request, run: BegunRun, headers: Mapping[str, str], within_s: float | None
    ) -> JsonResponse | None:
        """Waits for the end of the run. Returns None after `within_s`. Raises: ApiError."""
        with self._reporting_failures(run, headers):
            async with RunWaiter(request, run.stream_id, self._hub, self._local_viewers) as waiter:
                feed = await self._open(waiter, NATIVE)
                if not await waiter.wait(feed, lambda: feed.over, within_s):
                    return None
            if feed.status is FeedStatus.LOST:
                raise _FailedRunError(STREAM_LOST)
            fold = await read_completion(self._log, run.stream_id)
            done = fold.done or {}
            if done.get("status") == Status.CANCELLED:
                raise _FailedRunError(CANCELLED)
            if done.get("status") != Status.COMPLETED:
                raise _FailedRunError(done.get("error") or STREAM_LOST)
            return JsonResponse(fold.result(), headers=headers)

    @contextmanager
    def _reporting_failures(self, run: BegunRun, headers: Mapping[str, str]) -> Iterator[None]:
        """Turns each reason why there is no answer into an ApiError. Cancels the run if its caller wants that."""
        try:
            yield
        except _FailedRunError as failed:
            raise to_api_error(failed.error, headers) from None
        except ClientGoneError:
            cancel = self._starter.cancel_on_disconnect(run)
            if cancel is not None:
                cancel()
            raise ApiError(GONE_STATUS, "client_gone", "The client disconnected before the answer.") from None
        except DismissedError:
            text = "This gateway is being stopped. The run continues: a retry finds it again, at another gateway."
            raise gateway_stopping(text, headers) from None
        except (BrokerUnavailableError, BrokerRefusedError):
            raise broker_unavailable(headers) from None

    async def _wait_for_first_chunk(self, waiter: RunWaiter, run: BegunRun) -> Feed:
        feed = await self._open(waiter, run.dialect)
        await waiter.wait(feed, lambda: feed.over or _dialect_of(feed).has_sent_chunk, self._head_wait_s)
        return feed

    async def _open(self, waiter: RunWaiter, dialect: str) -> Feed:
        try:
            return await waiter.open(dialect, self._head_wait_s)
        except NoSuchStreamError:
            raise no_such_stream(waiter.stream_id) from None


def _check_failure(feed: Feed) -> None:
    """Raises: _FailedRunError if the run ended before its first chunk."""
    dialect = _dialect_of(feed)
    error = STREAM_LOST if feed.status is FeedStatus.LOST else dialect.error
    if error is not None and not dialect.has_sent_chunk:
        raise _FailedRunError(error)


def _dialect_of(feed: Feed) -> OpenAIDialect:
    assert isinstance(feed.dialect, OpenAIDialect)
    return feed.dialect


def _headers(submitted: SubmittedRun, prefix: str) -> dict[str, str]:
    """Headers that name the run and link to it. IANA registers the link relations: RFC 5989, RFC 8631 and HTML."""
    urls = urls_of(submitted.stream_id, prefix)
    links = (
        f'<{urls.events}>; rel="monitor"; type="text/event-stream"',
        f'<{urls.status}>; rel="status"; type="application/json"',
        f'<{urls.page}>; rel="alternate"; type="text/html"',
    )
    return {
        **submitted.headers,
        "X-Stream-Id": submitted.stream_id,
        "X-Request-Id": submitted.stream_id,
        "X-Stream-Ticket": submitted.control.text,
        "Link": ", ".join(links),
    }
