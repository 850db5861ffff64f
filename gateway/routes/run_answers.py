"""Answers the call that started a run, as OpenAI's SDKs expect it: with the stream or with the whole answer.

The gateway sends the status with the first chunk, because SDKs learn from the status what went wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

from fastapi import Request
from starlette.responses import Response

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.event import Status
from contract.position import Position
from contract.stream_log import LogLostError
from gateway.dialects.base import NewDialect
from gateway.dialects.registry import NATIVE
from gateway.fanout.feed import Feed, FeedStatus
from gateway.fanout.hub import Hub, NoSuchStreamError
from gateway.fanout.local_viewers import LocalViewers
from gateway.fanout.responses import Respond
from gateway.http.errors import GONE_STATUS, ApiError, broker_unavailable, gateway_stopping
from gateway.http.run_errors import CANCELLED, STREAM_LOST, to_api_error
from gateway.http.stream_urls import no_such_stream, urls_of
from gateway.routes.new_viewer import new_viewer
from gateway.routes.slow_completion import SlowCompletion
from gateway.runs.begin import BegunRun
from gateway.runs.submit import SubmittedRun
from gateway.runs.wait import ClientGoneError, DismissedError, RunWaiter


class FirstChunk(Protocol):
    """What this module asks a dialect about. `error`: the error that ended the response, as in a `done` event."""

    has_sent_chunk: bool
    error: Mapping[str, Any] | None


class WholeAnswer(NamedTuple):
    """A run that has ended: the data of its `done` event, and a function that makes the response from its headers."""

    done: Mapping[str, Any]
    respond: Callable[[Mapping[str, str]], Response]


ReadAnswer = Callable[[Position], Awaitable[WholeAnswer]]
"""Reads the log of a run that has ended at the position. Raises: as `StreamLog.read_ended`."""


class Opening(NamedTuple):
    """The dialect of a streamed answer, as for `Hub.open`. `write_prologue`: what the client gets before the events."""

    dialect: str
    new: NewDialect | None = None
    write_prologue: Callable[[Feed], bytes] = lambda _: b""


class FailedRunError(Exception):
    """The run has failed, and this caller has not received any of it."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.error = error


class RunAnswers:
    """Streamed and whole answers.

    `head_wait_s`: how long the status waits for the first chunk of a stream, or for the whole answer. After that, the
    gateway sends 200, and something every `ping_interval_s`.
    """

    def __init__(
        self,
        hub: Hub,
        local_viewers: LocalViewers,
        respond: Respond,
        *,
        head_wait_s: float,
        ping_interval_s: float,
    ) -> None:
        self._hub = hub
        self._local_viewers = local_viewers
        self._respond = respond
        self._head_wait_s = head_wait_s
        self._ping_interval_s = ping_interval_s

    async def stream(self, request: Request, run: BegunRun, headers: Mapping[str, str], opening: Opening) -> Response:
        """Raises: ApiError."""
        with self._reporting_failures(run, headers):
            async with RunWaiter(request, run.stream_id, self._hub, self._local_viewers) as waiter:
                feed, _ = await self._wait_for(_has_begun, waiter, opening, self._head_wait_s)
            _check_failure(feed)
            viewer = await new_viewer(self._hub, feed, when_gone=run.when_gone, prologue=opening.write_prologue(feed))
            return self._respond(request, viewer, {**feed.dialect.headers, **headers})

    async def whole(self, request: Request, run: BegunRun, headers: Mapping[str, str], read: ReadAnswer) -> Response:
        """Raises: ApiError."""
        response = await self._read_whole(request, run, headers, read, self._head_wait_s)
        if response is not None:
            return response
        # An error of `read_later` cuts the response, and the retry of the client reads the error.
        read_later = partial(self._read_whole, request, run, headers, read, None)
        return SlowCompletion(read_later, headers, self._ping_interval_s)

    async def _read_whole(
        self, request: Request, run: BegunRun, headers: Mapping[str, str], read: ReadAnswer, within_s: float | None
    ) -> Response | None:
        """Waits for the end of the run. Returns None after `within_s`. Raises: ApiError."""
        with self._reporting_failures(run, headers):
            async with RunWaiter(request, run.stream_id, self._hub, self._local_viewers) as waiter:
                feed, is_over = await self._wait_for(_is_over, waiter, Opening(NATIVE), within_s)
            if not is_over:
                return None
            if feed.status is FeedStatus.LOST:
                raise FailedRunError(feed.loss)
            done, respond = await read(feed.merge.last)
            if done.get("status") == Status.CANCELLED:
                raise FailedRunError(CANCELLED)
            if done.get("status") != Status.COMPLETED:
                raise FailedRunError(done.get("error") or STREAM_LOST)
            return respond(headers)

    async def _wait_for(
        self, condition: Callable[[Feed], bool], waiter: RunWaiter, opening: Opening, within_s: float | None
    ) -> tuple[Feed, bool]:
        """The feed, and whether the condition holds; it does not after `within_s`. The caller has had nothing yet, so a
        feed whose last events a failover has lost is opened again.

        Raises: as `RunWaiter.open` and `RunWaiter.wait`.
        """
        clock = asyncio.get_running_loop().time
        deadline = None if within_s is None else clock() + within_s
        while True:
            feed = await self._open(waiter, opening)
            left_s = None if deadline is None else deadline - clock()
            holds = await waiter.wait(feed, partial(condition, feed), left_s)
            if feed.status is not FeedStatus.VOID:
                return feed, holds

    @contextmanager
    def _reporting_failures(self, run: BegunRun, headers: Mapping[str, str]) -> Iterator[None]:
        """Turns each reason why there is no answer into an ApiError. Says so if the caller has left."""
        try:
            yield
        except FailedRunError as failed:
            raise to_api_error(failed.error, headers) from None
        except LogLostError:
            raise to_api_error(STREAM_LOST, headers) from None
        except ClientGoneError:
            if run.when_gone is not None:
                run.when_gone()
            raise ApiError(GONE_STATUS, "client_gone", "The client disconnected before the answer.") from None
        except DismissedError:
            text = "This gateway is being stopped. The run continues: a retry finds it again, at another gateway."
            raise gateway_stopping(text, headers) from None
        except (BrokerUnavailableError, BrokerRefusedError):
            raise broker_unavailable(headers) from None

    async def _open(self, waiter: RunWaiter, opening: Opening) -> Feed:
        try:
            return await waiter.open(opening.dialect, self._head_wait_s, opening.new)
        except NoSuchStreamError:
            raise no_such_stream(waiter.stream_id) from None


def _check_failure(feed: Feed) -> None:
    """Raises: FailedRunError if the run ended before its first chunk."""
    dialect = _asked(feed)
    error = feed.loss if feed.status is FeedStatus.LOST else dialect.error
    if error is not None and not dialect.has_sent_chunk:
        raise FailedRunError(error)


def _is_over(feed: Feed) -> bool:
    return feed.over


def _has_begun(feed: Feed) -> bool:
    return feed.over or _asked(feed).has_sent_chunk


def _asked(feed: Feed) -> FirstChunk:
    return cast(FirstChunk, feed.dialect)


def run_headers(submitted: SubmittedRun, prefix: str) -> dict[str, str]:
    """Headers that name the run and link to it. IANA registers the link relations: RFC 5989, RFC 8631 and HTML."""
    urls = urls_of(submitted.stream_id, prefix)
    links = (
        f'<{urls.events}>; rel="monitor"; type="text/event-stream"',
        f'<{urls.status}>; rel="status"; type="application/json"',
        f'<{urls.page}>; rel="alternate"; type="text/html"',
    )
    return {**id_headers(submitted), "Link": ", ".join(links)}


def id_headers(submitted: SubmittedRun) -> dict[str, str]:
    """Headers that name the run."""
    return {
        **submitted.headers,
        "X-Stream-Id": submitted.stream_id,
        "X-Request-Id": submitted.stream_id,
        "X-Stream-Ticket": submitted.control.text,
    }
