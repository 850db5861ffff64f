"""A source for any OpenAI-compatible provider. The only module that imports `openai`.

It parses the raw bytes of the response: the SDK's chunk objects take six times as long and drop vendors' own fields. A
call is retried only before its first chunk, because afterwards viewers have seen a part of the answer.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any, NoReturn

import httpx2
import openai

from contract.backoff import Backoff
from contract.errors import Code, RunError, RunFailedError
from contract.event import Chunk
from contract.sse import Frame, FrameReader, FrameTooLongError
from contract.worker_registry import Model
from worker.providers.errors import answered_error, own_error, retry_after_s, streamed_error
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
    )


class OpenAISource:
    """One client for all runs. `first_chunk_timeout_s` is the timeout of each try, connecting included."""

    def __init__(
        self, *, api_key: str, base_url: str, connect_timeout_s: float, first_chunk_timeout_s: float, retries: int
    ) -> None:
        # The SDK requires a key. Providers that need none ignore it.
        self._client = openai.AsyncOpenAI(
            api_key=api_key or _NO_KEY,
            base_url=base_url or None,
            max_retries=0,
            # The SDK's aiohttp transport delivers a single chunk three times as fast as its default one.
            http_client=openai.DefaultAioHttpClient(
                timeout=httpx2.Timeout(None, connect=connect_timeout_s),
                limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=IDLE_CONNECTION_S),
            ),
        )
        self._first_chunk_timeout_s = first_chunk_timeout_s
        self._retries = retries

    async def generate(self, request: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
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

    async def _begin(self, body: dict[str, Any], call: AsyncExitStack) -> tuple[Chunk, AsyncIterator[Chunk]]:
        """Retries until the first chunk has come. Leaves the response open; `call` closes it."""
        backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S)
        for tries_left in range(self._retries, -1, -1):
            delay_s = backoff.next_delay_s()
            try:
                async with AsyncExitStack() as one_try:
                    async with asyncio.timeout(self._first_chunk_timeout_s):
                        chunks = await one_try.enter_async_context(aclosing(self._open(body)))
                        first = await anext(chunks, END)
                    if first is END:
                        _fail(Code.UPSTREAM_TRUNCATED, "The provider ended without sending anything.")
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
            if not tries_left or not error.retryable or delay_s > MAX_DELAY_S or error.code in _NEVER_RETRIED:
                raise RunFailedError(error)
            logger.info("retrying the provider in %.1f s: %s", delay_s, error.message)
            await asyncio.sleep(delay_s)
        raise AssertionError("the last try returns or raises")

    async def _open(self, body: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
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
            raise _RefusedError(
                answered_error(error.status_code, error.body or error.response.text), asked_s
            ) from error
        except (openai.APIConnectionError, httpx2.RequestError, httpx2.StreamError, OSError) as error:
            cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
            text = f"The connection to the provider failed: {str(cause or error) or type(cause).__name__}"
            raise RunFailedError(own_error(Code.UPSTREAM_DISCONNECTED, text)) from error

    async def list_models(self) -> tuple[Model, ...]:
        """The provider's models; empty if the request fails."""
        try:
            page = await self._client.models.list(timeout=LISTING_TIMEOUT_S)
            return tuple(Model(one.id, one.owned_by or "", one.created or 0) for one in page.data)
        except (openai.OpenAIError, httpx2.HTTPError, OSError, AttributeError, TypeError, ValueError) as error:
            logger.warning("the provider's models cannot be listed: %s", error)
            return ()

    async def close(self) -> None:
        await self._client.close()


class _RefusedError(Exception):
    """The provider answered with an error status."""

    def __init__(self, error: RunError, asked_s: float | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after_s = asked_s


# Never retried: a provider that sent nothing or garbage will do so again, and each try may cost money.
_NEVER_RETRIED = frozenset({Code.UPSTREAM_TRUNCATED, Code.UPSTREAM_INVALID})


async def _chunks(response: httpx2.Response) -> AsyncGenerator[Chunk, None]:
    """The chunks of a response, and END if the provider said that they are complete."""
    reader = FrameReader(FRAME_LIMIT_BYTES)
    received = response.aiter_bytes()
    try:
        async for piece in received:
            for frame in reader.feed(piece):
                chunk = _parse(frame)
                if chunk is END:
                    await _read_tail(received)
                    yield END
                    return
                if chunk is not None:
                    yield chunk
    except FrameTooLongError as error:
        _fail(Code.UPSTREAM_INVALID, f"The provider sent too much at once: {error}.")
    for frame in reader.end():
        chunk = _parse(frame)
        if chunk is not None:
            yield chunk


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
        if not data:
            # Some providers send an empty frame as a sign of life.
            return None
    try:
        value = _decode(data.decode())
    except (ValueError, RecursionError):
        _fail(Code.UPSTREAM_INVALID, "The provider sent something that is not JSON.")
    if frame.event == b"error" or (isinstance(value, dict) and value.get("error")):
        raise RunFailedError(streamed_error(value))
    if not isinstance(value, dict):
        _fail(Code.UPSTREAM_INVALID, "The provider sent JSON that is not a chunk.")
    return value


# Python parses NaN and Infinity, which JSON does not have (RFC 8259). Browsers could not parse them.
_decode = json.JSONDecoder(parse_constant=lambda _: None).decode


def _fail(code: Code, message: str) -> NoReturn:
    raise RunFailedError(own_error(code, message))
