"""Calls one OpenAI-compatible provider. The only module that imports `openai`.

A call is retried only before its first chunk, because afterwards viewers have seen a part of the answer.
"""

import asyncio
import logging
import math
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import httpx2
import openai

from contract.backoff import Backoff
from contract.errors import Code, RunError, RunFailedError
from contract.passed import Passed, take_passed
from contract.private_host import is_private_host
from contract.socks_proxy import uses_socks
from contract.worker_registry import Model, ProviderState
from worker.providers.answer_decoder import BodyDecoder, Decoded, Decoder, StreamDecoder
from worker.providers.breaker import Breaker
from worker.providers.chunk_pattern import SimilarChunk
from worker.providers.direct_reader import is_compressed, taking_directly
from worker.providers.errors import (
    answered_error,
    own_error,
    retry_after_s,
    unknown_model,
)
from worker.providers.provider_table import CallOptions, Provider
from worker.providers.request_form import RequestForm, RequestForms, with_whole_characters
from worker.providers.source import END, SILENT, Answer, ChunkTimeout

logger = logging.getLogger(__name__)

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0
LISTING_TIMEOUT_S = 10.0
LISTING_LIMIT_BYTES = 16 << 20
ERROR_LIMIT_BYTES = 64 << 10
"""How much of the body of an error is read, decompressed."""
MAX_CONNECTIONS = 1 << 16
"""Practically unlimited: MANYCAST_WORKER_STREAMS limits the calls."""
IDLE_CONNECTION_S = 30.0
TAIL_PATIENCE_S = 0.1
SHOWN_CHARS = 128
STREAMING_ENDPOINT = "completions"
"""The only pass-through call that may be streamed."""
_NO_KEY = "none"
_DEPLOYMENT = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,256}")
"""A model of Azure is a part of the URL."""


class ProviderFailedError(RunFailedError):
    """A provider has failed before its first chunk. `elsewhere`: another provider may be asked, because this one has
    neither answered nor will it bill anything."""

    def __init__(self, error: RunError, *, elsewhere: bool) -> None:
        super().__init__(error)
        self.elsewhere = elsewhere


class _TryFailedError(Exception):
    """One try has brought no chunk. `elsewhere` is as in ProviderFailedError. The provider asks for a pause of
    `asked_s`, if that is not None."""

    def __init__(self, error: RunError, *, elsewhere: bool, asked_s: float | None) -> None:
        super().__init__(error)
        self.error = error
        self.elsewhere = elsewhere
        self.asked_s = asked_s


class OpenAISource:
    """One provider: a client for all its calls.

    `default_options`: the options of a model where `provider` sets none. `retries`: further tries of a call before
    its first chunk. `retries_timeouts`: whether a provider that was silent for too long is asked again. It may bill
    both tries. `uses_proxy_for_private`: whether the proxy of the environment is used for a provider in a private
    network.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        default_options: Callable[[str], CallOptions],
        connect_timeout_s: float,
        retries: int,
        retries_timeouts: bool = False,
        uses_proxy_for_private: bool = False,
    ) -> None:
        self.provider = provider
        self._client = _new_client(provider, connect_timeout_s, uses_proxy_for_private)
        self._default_options = default_options
        self._retries = retries
        self._problem = ""
        self._breaker = Breaker(provider.breaker_failures, provider.breaker_pause_s, time.monotonic)
        self._forms = RequestForms()
        self._never_retried = _NEVER_RETRIED if retries_timeouts else _NEVER_RETRIED | {Code.UPSTREAM_TIMEOUT}

    def generate(self, request: dict[str, Any], *, has_fallback: bool = False) -> Answer:
        """See worker.providers.source.Source. `has_fallback`: another provider will be asked if this one fails.

        Raises: ProviderFailedError before the first chunk, RunFailedError.
        """
        call = self._new_call(request, has_fallback)
        return self._answer(replace(call, form=self._forms.choose(call.model, call.options)))

    def forward(self, endpoint: str, request: dict[str, Any], *, has_fallback: bool = False) -> Answer:
        """See worker.providers.source.Source, and `generate`."""
        is_stream = endpoint == STREAMING_ENDPOINT and request.get("stream")
        call = self._new_call(request, has_fallback)
        return self._answer(replace(call, endpoint=endpoint, new_decoder=StreamDecoder if is_stream else BodyDecoder))

    def _new_call(self, request: dict[str, Any], has_fallback: bool) -> "_Call":
        body, passed = take_passed(request)
        model = str(body.get("model") or "")
        options = self.provider.options_for(model).over(self._default_options(model))
        return _Call(model, options, self._own_request(body, model), self._passed_on(passed), has_fallback)

    async def _answer(self, call: "_Call") -> Answer:
        async with AsyncExitStack() as opened:
            first, chunks = await self._begin(call, opened)
            if call.options.chunk_timeout_s is not None:
                yield ChunkTimeout(call.options.chunk_timeout_s)
            last = first
            try:
                yield first
                async for chunk in chunks:
                    if chunk is END or isinstance(chunk, SimilarChunk) or (chunk and chunk.get("choices")):
                        last = chunk
                    yield chunk
            except RunFailedError as failure:
                self._note_end(last, failure.error)
                raise
            except asyncio.CancelledError as reason:
                if reason.args == (SILENT,):
                    self._note_end(last, own_error(Code.UPSTREAM_TIMEOUT, "The provider fell silent."))
                raise
            self._note_end(last, None)

    def _own_request(self, request: dict[str, Any], model: str) -> dict[str, Any]:
        """The request with the provider's name of the model. Raises: ProviderFailedError."""
        if request.get("model") is None:
            return request
        own_name = self.provider.own_name_of(model)
        if self.provider.azure and _DEPLOYMENT.fullmatch(own_name) is None:
            text = f"There is no model '{model[:SHOWN_CHARS]}': it cannot be the name of a deployment of Azure."
            raise ProviderFailedError(unknown_model(text), elsewhere=False)
        return {**request, "model": own_name}

    def _passed_on(self, passed: Passed) -> Passed:
        """What this provider is to get of it. The operator's own values stay."""
        provider = self.provider
        own = {name.lower() for name in provider.headers}
        wanted = {name.lower() for name in provider.passed_headers} - own
        # Azure's api-version is among the client's own fields.
        fields = set(provider.passed_query) - set(self._client.default_query)
        return Passed(
            headers={name: value for name, value in passed.headers.items() if name.lower() in wanted},
            query={name: value for name, value in passed.query.items() if name in fields},
        )

    async def _begin(self, call: "_Call", opened: AsyncExitStack) -> tuple[Decoded, AsyncIterator[Decoded]]:
        """Retries until the first chunk has come. Leaves the response open; `opened` closes it."""
        backoff = Backoff(FIRST_DELAY_S, MAX_DELAY_S)
        first_form, tries_left = call.form, self._retries
        while True:
            self._enter()
            try:
                begun = await self._try(call, opened)
            except UnicodeEncodeError:
                request = with_whole_characters(call.request)
                if request == call.request:
                    raise
                call = replace(call, request=request)
            except _TryFailedError as failure:
                error = failure.error
                form = None if call.form is None else self._forms.after(call.form, error, call.options)
                if form is not None:
                    field = "stream_options" if form.stream else "stream"
                    logger.info("asking %s again without %s: %s", self._shown_name, field, error.message)
                    call = replace(call, form=form)
                    continue
                delay_s = backoff.next_delay_s() if failure.asked_s is None else failure.asked_s
                goes_elsewhere = failure.elsewhere and call.has_fallback
                is_final = not tries_left or not error.retryable or error.code in self._never_retried
                if goes_elsewhere or is_final or delay_s > MAX_DELAY_S or self._breaker.is_open:
                    raise ProviderFailedError(error, elsewhere=failure.elsewhere) from None
                tries_left -= 1
                logger.info("retrying %s in %.1f s: %s", self._shown_name, delay_s, error.message)
                await asyncio.sleep(delay_s)
            else:
                if call.form is not None and call.form != first_form:
                    self._forms.remember(call.model, call.form, call.request)
                return begun

    async def _try(self, call: "_Call", opened: AsyncExitStack) -> tuple[Decoded, AsyncIterator[Decoded]]:
        """Asks the provider once. Returns its first chunk and the others. Raises: _TryFailedError."""
        timeout_s = call.options.first_chunk_timeout_s or None
        asked_s, sign = None, asyncio.Event()
        try:
            async with AsyncExitStack() as one_try:
                async with asyncio.timeout(timeout_s) as deadline:
                    chunks = await one_try.enter_async_context(aclosing(self._open(call)))
                    first = await self._first_chunk(chunks, deadline, timeout_s, sign)
                opened.push_async_exit(one_try.pop_all())
                return first, chunks
        except TimeoutError:
            error = own_error(Code.UPSTREAM_TIMEOUT, f"The provider sent nothing for {timeout_s:g} seconds.")
            elsewhere = self.provider.fallback_after_timeout
        except RunFailedError as failure:
            error = failure.error
            elsewhere = isinstance(failure, _UnreachableError) or self._is_refusal_elsewhere(error)
            asked_s = failure.retry_after_s if isinstance(failure, _RefusedError) else None
        except BaseException:
            self._breaker.leave()
            raise
        if sign.is_set():
            self._note_break(error)
        else:
            self._note_failure(error)
        raise _TryFailedError(error, elsewhere=elsewhere, asked_s=asked_s)

    def _enter(self) -> None:
        """Raises: ProviderFailedError while the breaker is open."""
        wait_s = self._breaker.enter()
        if wait_s is None:
            return
        failed = f"{self._shown_name} failed {self._breaker.failures} times in a row"
        text = f"{failed}, and is not asked for another {math.ceil(wait_s)} seconds."
        error = own_error(Code.PROVIDER_UNAVAILABLE, text[0].upper() + text[1:])
        raise ProviderFailedError(error, elsewhere=True)

    def _note_failure(self, error: RunError) -> None:
        status = error.http_status
        if status == 429:
            # The provider works, but is overloaded or limits this account: leave the breaker as it is.
            self._breaker.leave()
        elif status is not None and status < 500:
            self._breaker.succeed()
        elif self._breaker.fail():
            logger.warning("%s failed %d times in a row: not asking it", self._shown_name, self._breaker.failures)

    def _note_end(self, last: Decoded, error: RunError | None) -> None:
        """`last` is END or the last chunk with choices. A failure after a whole answer does not count."""
        if last is END or _has_finish_reason(last):
            self._breaker.succeed()
            return
        self._note_break(error)

    def _note_break(self, error: RunError | None) -> None:
        """`error` is None if the answer ended too early."""
        status = None if error is None else error.http_status
        if (status is None or status >= 500) and self._breaker.break_off():
            said = "%s broke off %d answers in a row: not asking it"
            logger.warning(said, self._shown_name, self._breaker.failures)

    def _is_refusal_elsewhere(self, error: RunError) -> bool:
        status = error.http_status
        if status in _TIMEOUT_STATUSES:
            return self.provider.fallback_after_timeout
        return status is not None and (status == 429 or status >= 500)

    @property
    def _shown_name(self) -> str:
        return f"the provider '{self.provider.name}'" if self.provider.name else "the provider"

    async def _first_chunk(
        self,
        chunks: AsyncIterator[Decoded],
        deadline: asyncio.Timeout,
        timeout_s: float | None,
        sign: asyncio.Event,
    ) -> Decoded:
        """Each sign of life moves the deadline and sets `sign`. Raises: RunFailedError if there is no chunk."""
        clock = asyncio.get_running_loop().time
        while (chunk := await anext(chunks, END)) is None:
            self._breaker.begin()
            sign.set()
            if timeout_s:
                deadline.reschedule(clock() + timeout_s)
        if chunk is END:
            raise RunFailedError(own_error(Code.UPSTREAM_TRUNCATED, "The provider ended without sending anything."))
        self._breaker.begin()
        return chunk

    async def _open(self, call: "_Call") -> AsyncGenerator[Decoded, None]:
        """One provider call. Raises: _RefusedError before the first chunk, RunFailedError."""
        try:
            async with self._ask(call) as response:
                decoder, received = call.new_decoder(), _received(response.http_response)
                with taking_directly(response.http_response, decoder.take):
                    async for piece in received:
                        is_chunk_missing = True
                        for chunk in decoder.feed(piece):
                            if chunk is END:
                                await _read_tail(received)
                                yield END
                                return
                            is_chunk_missing = False
                            yield chunk
                        if is_chunk_missing:
                            # The provider is alive: it has sent a comment, or a part of a long event.
                            yield None
                for chunk in decoder.end():
                    yield chunk
        except openai.APIStatusError as error:
            asked_s = retry_after_s(error.response.headers, time.time())
            # No body: the response was closed before it could be read.
            words = "" if error.body is None else error.response.text
            raise _RefusedError(answered_error(error.status_code, words), asked_s) from error
        except _CONNECTION_ERRORS as error:
            cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
            # The library's text goes to the log, for operators: it would not help the person who asked.
            logger.warning("the connection to the provider failed: %r", cause or error)
            if _is_unreachable(error):
                text = "The provider cannot be reached."
                raise _UnreachableError(own_error(Code.UPSTREAM_DISCONNECTED, text)) from error
            text = "The connection to the provider was lost."
            raise RunFailedError(own_error(Code.UPSTREAM_DISCONNECTED, text)) from error

    @asynccontextmanager
    async def _ask(self, call: "_Call") -> AsyncIterator[Any]:
        """Sends the request. The response has its head when the context is entered.

        Not through the SDK's own methods for an endpoint: they would add fields to the body or check the answer, and
        take longer.
        """
        body = call.request if call.form is None else call.form.body(call.request)
        # This header is not sent. It makes the SDK return the response before its body is read.
        headers = {**call.passed.headers, "X-Stainless-Raw-Response": "stream"}
        options: Any = {"headers": headers, "params": call.passed.query}
        response: Any = await self._client.post(f"/{call.endpoint}", cast_to=object, body=body, options=options)
        try:
            yield response
        finally:
            await response.close()

    async def list_models(self) -> tuple[Model, ...]:
        """The models that the provider lists, in its own names; empty if the request fails."""
        try:
            page = await self._client.models.list(timeout=LISTING_TIMEOUT_S)
            models = tuple(Model(one.id, one.owned_by or "", one.created or 0) for one in page.data)
        except (openai.OpenAIError, *_CONNECTION_ERRORS, AttributeError, TypeError, ValueError) as error:
            logger.warning("the models of %s cannot be listed: %s", self._shown_name, error)
            self._problem = _describe_listing_error(error)
            return ()
        self._problem = ""
        return models

    def describe(self) -> ProviderState:
        """The provider, as the last listing of its models found it."""
        url = urlsplit(self.provider.base_url)
        # Some people put a key into the URL.
        shown = urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))
        return ProviderState(self.provider.name, shown, self._problem)

    async def close(self) -> None:
        await self._client.close()


def _describe_listing_error(error: Exception) -> str:
    """Why the models cannot be listed, in words for the operator."""
    match error:
        case openai.APITimeoutError():
            return f"it does not answer within {LISTING_TIMEOUT_S:g} seconds"
        case openai.APIStatusError(status_code=401 | 403):
            return f"it refuses the API key ({error.status_code})"
        case openai.APIStatusError():
            return f"it does not list its models ({error.status_code})"
        case openai.APIConnectionError() | OSError() | aiohttp.ClientError() | httpx2.RequestError():
            return "it cannot be reached"
        case _:
            return "its list of models cannot be read"


def _new_client(provider: Provider, connect_timeout_s: float, uses_proxy_for_private: bool) -> openai.AsyncOpenAI:
    """Raises: SocksUnavailableError."""
    host = httpx2.URL(provider.base_url).host
    is_direct = bool(host) and is_private_host(host) and not uses_proxy_for_private
    # The SDK's aiohttp transport delivers a single chunk three times as fast as its default one, but speaks no SOCKS.
    needs_socks = not is_direct and uses_socks(provider.base_url)
    new_transport = openai.DefaultAsyncHttpxClient if needs_socks else openai.DefaultAioHttpClient
    settings: dict[str, Any] = {
        # The SDK requires a key. Providers that need none ignore it.
        "api_key": provider.key or _NO_KEY,
        "max_retries": 0,
        "default_headers": provider.headers,
        "default_query": provider.query,
        "http_client": new_transport(
            timeout=httpx2.Timeout(None, connect=connect_timeout_s),
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=IDLE_CONNECTION_S),
            # Without a transport of its own, a host is reached directly.
            mounts={f"all://{_in_url(host)}": None} if is_direct else None,
            # A redirect could lead to an address that only this machine reaches, and would take the prompt there.
            follow_redirects=False,
            event_hooks={"response": [_limit_body]},
        ),
    }
    if provider.azure:
        endpoint = provider.base_url.removesuffix("/openai")
        client: openai.AsyncOpenAI = openai.AsyncAzureOpenAI(
            azure_endpoint=endpoint, api_version=provider.api_version, **settings
        )
    else:
        client = openai.AsyncOpenAI(base_url=provider.base_url, **settings)
    if provider.name:
        # The SDK has read them from the environment. They may belong to another provider.
        client.organization = client.project = None
    return client


async def _limit_body(response: httpx2.Response) -> None:
    """Cuts a body that the SDK would read as a whole: that of an error, and that of a list of models."""
    if response.is_success and response.request.method != "GET":
        return
    limit_bytes = LISTING_LIMIT_BYTES if response.is_success else ERROR_LIMIT_BYTES
    sent = httpx2.Response(response.status_code, headers=response.headers, stream=response.stream)
    response.stream = _Beginning(sent, limit_bytes)
    # `_Beginning` yields decoded bytes, so the SDK must not decode them again.
    response.headers.pop("content-encoding", None)


class _Beginning(httpx2.AsyncByteStream):
    """At most `limit_bytes` of the decoded body of `response`."""

    def __init__(self, response: httpx2.Response, limit_bytes: int) -> None:
        self._response = response
        self._limit_bytes = limit_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit_bytes
        async with aclosing(self._response.aiter_bytes()) as pieces:
            async for piece in pieces:
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    return

    async def aclose(self) -> None:
        await self._response.aclose()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _RefusedError(RunFailedError):
    """The provider answered with an error status. It asks for a pause of `retry_after_s`, if that is not None."""

    def __init__(self, error: RunError, asked_s: float | None) -> None:
        super().__init__(error)
        self.retry_after_s = asked_s


class _UnreachableError(RunFailedError):
    """There was no connection, so the provider did not get the request."""


_TIMEOUT_STATUSES = frozenset({408, 504, 524})
"""A proxy gave up waiting. The provider behind it may still be working."""
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


def _is_unreachable(failure: BaseException) -> bool:
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


@dataclass(frozen=True, slots=True)
class _Call:
    """`model` is the caller's name of it; `request` has the provider's. `has_fallback`: another provider is asked if
    this one fails. A pass-through call has no `form`: its request is sent as it is. `new_decoder` makes what turns the
    response into chunks."""

    model: str
    options: CallOptions
    request: dict[str, Any]
    passed: Passed
    has_fallback: bool
    form: RequestForm | None = None
    endpoint: str = "chat/completions"
    new_decoder: Callable[[], Decoder] = StreamDecoder


def _received(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The bytes of the body. The way around httpx2's own reader saves two generators for each piece."""
    if is_compressed(response):
        return response.aiter_bytes()
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    return aiter(response.stream)


def _has_finish_reason(chunk: Decoded) -> bool:
    whole = chunk.whole() if isinstance(chunk, SimilarChunk) else chunk
    choices = whole and whole.get("choices")
    return isinstance(choices, list) and any(isinstance(one, dict) and one.get("finish_reason") for one in choices)


async def _read_tail(received: AsyncIterator[bytes]) -> None:
    """Reads the rest of the response, which has usually arrived, so that the connection can be reused."""
    try:
        async with asyncio.timeout(TAIL_PATIENCE_S):
            async for _ in received:
                pass
    except (TimeoutError, httpx2.HTTPError):
        pass
