"""A source for any OpenAI-compatible provider. The only module that imports `openai`.

It parses the raw bytes of the response: the SDK's chunk objects take six times as long and drop vendors' own fields. A
call is retried only before its first chunk, because afterwards viewers have seen a part of the answer.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from typing import Any, NoReturn

import aiohttp
import httpx2
import openai

from contract.backoff import Backoff
from contract.errors import Code, RunError, RunFailedError
from contract.event import Chunk
from contract.private_host import is_private_host
from contract.sse import BYTE_ORDER_MARK, Frame, FrameReader, FrameTooLongError
from contract.worker_registry import Model
from worker.providers.error_words import is_error
from worker.providers.errors import answered_error, own_error, retry_after_s, streamed_error, text_error
from worker.providers.source import END, SourceNotFoundError
from worker.settings import Settings

logger = logging.getLogger(__name__)

FRAME_LIMIT_BYTES = 16 << 20
FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0
LISTING_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 1 << 16
"""Practically unlimited: MANYCAST_WORKER_STREAMS limits the calls."""
IDLE_CONNECTION_S = 30.0
TAIL_PATIENCE_S = 0.1
_NO_KEY = "none"


def open_source(settings: Settings) -> "OpenAISource":
    """Raises: SourceNotFoundError if no provider is configured."""
    if not settings.openai_api_key and not settings.openai_base_url:
        raise SourceNotFoundError("set OPENAI_API_KEY, or OPENAI_BASE_URL for a provider that needs no key")
    return OpenAISource(
        api_key=settings.openai_api_key,
        base_url=settings.openai_base_url,
        connect_timeout_s=settings.connect_timeout_s,
        first_chunk_timeout_s=settings.first_chunk_timeout_s,
        retries=settings.provider_retries,
        retries_timeouts=settings.retry_timeouts,
        uses_proxy_for_private=settings.proxy_private,
    )


class OpenAISource:
    """One client for all runs.

    `first_chunk_timeout_s`: the longest silence before the first chunk of each try, connecting included (0: no limit).
    `retries_timeouts`: whether a provider that was silent for so long is asked again. It may bill both tries.
    `uses_proxy_for_private`: whether the proxy of the environment is used for a provider in a private network.
    """

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        connect_timeout_s: float,
        first_chunk_timeout_s: float,
        retries: int,
        retries_timeouts: bool = False,
        uses_proxy_for_private: bool = False,
    ) -> None:
        host = httpx2.URL(base_url).host
        is_direct = bool(host) and is_private_host(host) and not uses_proxy_for_private
        # The SDK requires a key. Providers that need none ignore it.
        self._client = openai.AsyncOpenAI(
            api_key=api_key or _NO_KEY,
            base_url=base_url or None,
            max_retries=0,
            # The SDK's aiohttp transport delivers a single chunk three times as fast as its default one.
            http_client=openai.DefaultAioHttpClient(
                timeout=httpx2.Timeout(None, connect=connect_timeout_s),
                limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=IDLE_CONNECTION_S),
                # Without a transport of its own, a host is reached directly.
                mounts={f"all://{_in_url(host)}": None} if is_direct else None,
            ),
        )
        self._first_chunk_timeout_s = first_chunk_timeout_s
        self._retries = retries
        self._never_retried = _NEVER_RETRIED if retries_timeouts else _NEVER_RETRIED | {Code.UPSTREAM_TIMEOUT}

    async def generate(self, request: dict[str, Any]) -> AsyncGenerator[Chunk | None, None]:
        """See worker.providers.source.Source. Raises: RunFailedError."""
        options = request.get("stream_options")
        body = {
            **request,
            "stream": True,
            "stream_options": {**(options if isinstance(options, dict) else {}), "include_usage": True},
        }
        async with AsyncExitStack() as call:
            first, chunks = await self._begin(body, call)
            yield first
            async for chunk in chunks:
                yield chunk

    async def _begin(self, body: dict[str, Any], call: AsyncExitStack) -> tuple[Chunk, AsyncIterator[Chunk | None]]:
        """Retries until the first chunk has come. Leaves the response open; `call` closes it."""
        backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S)
        for tries_left in range(self._retries, -1, -1):
            delay_s = backoff.next_delay_s()
            try:
                async with AsyncExitStack() as one_try:
                    async with asyncio.timeout(self._first_chunk_timeout_s or None) as deadline:
                        chunks = await one_try.enter_async_context(aclosing(self._open(body)))
                        first = await self._first_chunk(chunks, deadline)
                    call.push_async_exit(one_try.pop_all())
                    return first, chunks
            except TimeoutError:
                waited_s = self._first_chunk_timeout_s
                error = own_error(Code.UPSTREAM_TIMEOUT, f"The provider sent nothing for {waited_s:g} seconds.")
            except _RefusedError as refusal:
                error = refusal.error
                if refusal.retry_after_s is not None:
                    delay_s = refusal.retry_after_s
            except RunFailedError as failure:
                error = failure.error
            if not tries_left or not error.retryable or delay_s > MAX_DELAY_S or error.code in self._never_retried:
                raise RunFailedError(error)
            logger.info("retrying the provider in %.1f s: %s", delay_s, error.message)
            await asyncio.sleep(delay_s)
        raise AssertionError("the last try returns or raises")

    async def _first_chunk(self, chunks: AsyncIterator[Chunk | None], deadline: asyncio.Timeout) -> Chunk:
        """Each sign of life moves the deadline. Raises: RunFailedError if there is no chunk."""
        clock = asyncio.get_running_loop().time
        while (chunk := await anext(chunks, END)) is None:
            if self._first_chunk_timeout_s:
                deadline.reschedule(clock() + self._first_chunk_timeout_s)
        if chunk is END:
            _fail(Code.UPSTREAM_TRUNCATED, "The provider ended without sending anything.")
        return chunk

    async def _open(self, body: dict[str, Any]) -> AsyncGenerator[Chunk | None, None]:
        """One provider call. Raises: _RefusedError before the first chunk, RunFailedError."""
        try:
            async with (
                self._client.chat.completions.with_streaming_response.create(
                    model=str(body.get("model", "")), messages=[], stream=True, extra_body=body
                ) as response,
                aclosing(_chunks(response.http_response)) as chunks,
            ):
                async for chunk in chunks:
                    yield chunk
        except openai.APIStatusError as error:
            asked_s = retry_after_s(error.response.headers, time.time())
            # No body: the response was closed before it could be read.
            words = "" if error.body is None else error.response.text
            raise _RefusedError(answered_error(error.status_code, words), asked_s) from error
        except _CONNECTION_ERRORS as error:
            cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
            # The library's text is for operators, and says nothing to the person who asked.
            logger.warning("the connection to the provider failed: %r", cause or error)
            raise RunFailedError(own_error(Code.UPSTREAM_DISCONNECTED, _describe(error))) from error

    async def list_models(self) -> tuple[Model, ...]:
        """The provider's models; empty if the request fails."""
        try:
            page = await self._client.models.list(timeout=LISTING_TIMEOUT_S)
            return tuple(Model(one.id, one.owned_by or "", one.created or 0) for one in page.data)
        except (openai.OpenAIError, *_CONNECTION_ERRORS, AttributeError, TypeError, ValueError) as error:
            logger.warning("the provider's models cannot be listed: %s", error)
            return ()

    async def close(self) -> None:
        await self._client.close()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _RefusedError(Exception):
    """The provider answered with an error status."""

    def __init__(self, error: RunError, asked_s: float | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after_s = asked_s


# Never retried: a provider that sent nothing or garbage will do so again, and each try may cost money.
_NEVER_RETRIED = frozenset({Code.UPSTREAM_TRUNCATED, Code.UPSTREAM_INVALID})


# The transport lets some errors of aiohttp through, such as that of a malformed response.
_CONNECTION_ERRORS = (
    openai.APIConnectionError,
    httpx2.RequestError,
    httpx2.StreamError,
    aiohttp.ClientError,
    OSError,
)


def _describe(failure: BaseException) -> str:
    """What happened to a connection, in a sentence for the person who asked."""
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return "The provider cannot be reached."
        cause = cause.__cause__ or cause.__context__
    return "The connection to the provider was lost."


async def _chunks(response: httpx2.Response) -> AsyncGenerator[Chunk | None, None]:
    """The chunks of a response, and END if the provider said that they are complete.

    None for a piece without a chunk, which shows that the provider is alive: a comment, a part of a long event.
    """
    reader = FrameReader(FRAME_LIMIT_BYTES)
    received = response.aiter_bytes()
    body = _UnframedBody()
    try:
        async for piece in received:
            body.record(piece)
            has_frame = False
            for frame in reader.feed(piece):
                body.is_framed = has_frame = True
                chunk = _parse(frame)
                if chunk is END:
                    await _read_tail(received)
                    yield END
                    return
                yield chunk
            if not has_frame:
                yield None
    except FrameTooLongError as error:
        _fail(Code.UPSTREAM_INVALID, f"The provider sent too much at once: {error}.")
    for frame in reader.end():
        body.is_framed = True
        chunk = _parse(frame)
        if chunk is not None:
            yield chunk
            if chunk is END:
                return
    for chunk in body.read():
        yield chunk


class _UnframedBody:
    """What a response contains outside of frames: all of a body that is no event stream, or an error at the end."""

    def __init__(self) -> None:
        self.is_framed = False
        self._start = bytearray()
        self._last_but_one, self._last = b"", b"\n"

    def record(self, piece: bytes) -> None:
        """Takes the next piece. Raises: RunFailedError if there is too much before the first frame."""
        self._last_but_one, self._last = self._last, piece
        if not self.is_framed:
            self._start += piece
            if len(self._start) > FRAME_LIMIT_BYTES:
                _fail(Code.UPSTREAM_INVALID, "The provider sent too much that is not an answer.")

    def read(self) -> Iterator[Chunk]:
        """The answer in a whole completion, at the end of the response. Raises: RunFailedError for an error."""
        if self.is_framed:
            self._check_last_line()
            return
        lines = bytes(self._start).removeprefix(BYTE_ORDER_MARK).splitlines()
        text = b"\n".join(line for line in lines if line.strip() and not line.startswith(b":"))
        if not text:
            return
        chunk = _parse(Frame(b"", text, None))
        if chunk is None or not chunk.get("choices"):
            _fail(Code.UPSTREAM_INVALID, "The provider sent JSON that is not an answer.")
        yield {**chunk, "object": "chat.completion.chunk"}
        yield END

    def _check_last_line(self) -> None:
        lines = self._last.rstrip().splitlines()
        if not lines or (len(lines) == 1 and not self._last_but_one.endswith((b"\n", b"\r"))):
            # It may be the middle of a line.
            return
        if lines[-1][:1] == b"<":
            raise RunFailedError(text_error(lines[-1].decode(errors="replace")))
        if lines[-1][:1] == b"{":
            with contextlib.suppress(ValueError, RecursionError):
                value = _decode(lines[-1].decode())
                if is_error(value):
                    raise RunFailedError(streamed_error(value))


async def _read_tail(received: AsyncIterator[bytes]) -> None:
    """Reads the rest of the response, which has usually arrived, so that the connection can be reused."""
    try:
        async with asyncio.timeout(TAIL_PATIENCE_S):
            async for _ in received:
                pass
    except (TimeoutError, httpx2.HTTPError):
        pass


def _parse(frame: Frame) -> Chunk | None:
    """The chunk of a frame; END for `[DONE]`, None for a frame without data. Raises: RunFailedError for all else."""
    data = frame.data
    if data[:1] != b"{" and (data := data.strip())[:1] != b"{":
        if data == b"[DONE]":
            return END
        if not data and frame.event != b"error":
            # Some providers send an empty frame as a sign of life.
            return None
    try:
        value = _decode(data.decode())
    except (ValueError, RecursionError):
        text = data.decode(errors="replace")
        if frame.event == b"error":
            raise RunFailedError(streamed_error(text)) from None
        if data[:1] in (b"{", b"["):
            _fail(Code.UPSTREAM_INVALID, "The provider sent something that is not JSON.")
        raise RunFailedError(text_error(text)) from None
    if isinstance(value, dict):
        if frame.event == b"error" or (("error" in value or "choices" not in value) and is_error(value)):
            raise RunFailedError(streamed_error(value))
        return value
    if isinstance(value, list) and any(isinstance(one, dict) and is_error(one) for one in value):
        raise RunFailedError(streamed_error(value))
    if isinstance(value, str) and value.strip():
        raise RunFailedError(text_error(value))
    raise RunFailedError(own_error(Code.UPSTREAM_INVALID, "The provider sent JSON that is not a chunk."))


# Python parses NaN and Infinity, which JSON does not have (RFC 8259). Browsers could not parse them.
_decode = json.JSONDecoder(parse_constant=lambda _: None).decode


def _fail(code: Code, message: str) -> NoReturn:
    raise RunFailedError(own_error(code, message))
