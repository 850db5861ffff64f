"""The OpenAI source against real connections: what it asks, what it makes of every answer, and when it asks again."""

import asyncio
import json
import operator
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from itertools import count, cycle, islice
from typing import Any

import pytest

from contract.errors import RunError, RunFailedError
from manycast.local_stack.port import free_port
from tests.quirks import chunks_of
from tests.socks_server import socks_server
from tests.stack import Simulator
from tests.worker.raw_provider import (
    HEAD,
    Answer,
    RawProvider,
    drops,
    hangs,
    hangs_up,
    never_ends,
    raw_provider,
    refuses,
    sends,
)
from tests.worker.runs import DEADLINE_S, counts, until
from worker.providers.chunk_pattern import SimilarChunk
from worker.providers.openai_source import OpenAISource
from worker.providers.provider_table import CallOptions, Provider
from worker.providers.router import open_source
from worker.providers.source import END, SourceNotFoundError
from worker.settings import Settings

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
CHUNK = {"id": "1", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
FRAME = b"data: " + json.dumps(CHUNK).encode() + b"\n\n"
DONE = b"data: [DONE]\n\n"
QUOTA = b'{"error":{"code":"insufficient_quota","message":"no money"}}'


def source_at(
    base_url: str,
    *,
    retries: int = 0,
    patience_s: float = 10.0,
    retries_timeouts: bool = False,
    uses_proxy_for_private: bool = False,
) -> OpenAISource:
    return OpenAISource(
        Provider(base_url=base_url, models=("*",), breaker_failures=0),
        default_options=lambda _: CallOptions(first_chunk_timeout_s=patience_s),
        connect_timeout_s=2,
        retries=retries,
        retries_timeouts=retries_timeouts,
        uses_proxy_for_private=uses_proxy_for_private,
    )


@asynccontextmanager
async def asked(
    *answers: Answer, retries: int = 0, patience_s: float = 10.0
) -> AsyncIterator[tuple[OpenAISource, RawProvider]]:
    async with raw_provider(*answers) as provider:
        source = source_at(provider.base_url, retries=retries, patience_s=patience_s)
        try:
            yield source, provider
        finally:
            await source.close()


async def all_chunks(source: OpenAISource, request: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Without the sign that they are complete."""
    async with aclosing(source.generate(request or REQUEST)) as chunks:
        return [chunk async for chunk in chunks if isinstance(chunk, dict) and chunk is not END]


async def failure(source: OpenAISource) -> RunError:
    with pytest.raises(RunFailedError) as failed:
        await all_chunks(source)
    return failed.value.error


async def test_the_whole_request_reaches_the_provider_and_usage_is_asked_for() -> None:
    request = {**REQUEST, "vendor": {"x": [1]}, "stream": False, "stream_options": {"include_obfuscation": False}}
    async with asked(sends(FRAME, DONE)) as (source, provider):
        assert await all_chunks(source, request) == [CHUNK]
    assert json.loads(provider.bodies[0]) == {
        **request,
        "stream": True,
        "stream_options": {"include_obfuscation": False, "include_usage": True},
    }


@pytest.mark.parametrize(
    "pieces",
    [
        [FRAME + DONE],
        [FRAME, DONE],
        [FRAME.replace(b"\n", b"\r\n"), DONE],
        [FRAME.replace(b"\n", b"\r"), DONE],
        [FRAME.replace(b"data: ", b"data:"), b"data:[DONE]\n\n"],
        [b"\xef\xbb\xbf" + FRAME, DONE],
        [b"id: 7\nevent: message\nretry: 5\n" + FRAME, DONE],
        [FRAME, b"data: [DONE]"],
        [FRAME, b"data: [DONE] \n\n"],
        [b"data:\n\n", FRAME, b"data: \n\n", DONE],
        [b"data\n\n", FRAME, b"event: ping\r\ndata:  \r\n\r\n", b"data:\ndata:\n\n", DONE],
        [FRAME, b"data:"],
        [b": hello\n\n", FRAME, b": bye\n\n"],
        [FRAME],
        [FRAME.rstrip(b"\n")],
        [FRAME[:20], FRAME[20:]],
        [FRAME, DONE, b"data: not JSON, after the end\n\n"],
    ],
)
async def test_a_good_answer_is_read_in_every_spelling(pieces: list[bytes]) -> None:
    async with asked(sends(*pieces)) as (source, _):
        assert await all_chunks(source) == [CHUNK]


async def test_line_separators_within_a_text_do_not_end_a_line() -> None:
    chunk = {"choices": [], "text": "a\u2028b\u0085c\u2029d\x0be"}
    frame = b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
    async with asked(sends(frame, DONE)) as (source, _):
        assert await all_chunks(source) == [chunk]


@pytest.mark.parametrize(
    "rubbish",
    [
        b"data: {\n\n",
        b"data: [1]\n\n",
        b"data: null\n\n",
        b'data: "text"\n\n',
        b'data: {"a":"\xff"}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"data: <html>\n\n",
    ],
)
async def test_an_invalid_chunk_is_reported_and_not_retried(rubbish: bytes) -> None:
    async with asked(sends(rubbish), retries=2) as (source, provider):
        assert (await failure(source)).code == "upstream_invalid"
    assert len(provider.bodies) == 1


@pytest.mark.parametrize("pieces", [[b"data: " + b"x" * (17 << 20)], [(b"data: " + b"x" * 993 + b"\n") * (17 << 10)]])
async def test_an_endless_event_is_refused_and_earlier_chunks_stay(pieces: list[bytes]) -> None:
    async with asked(sends(FRAME, *pieces)) as (source, _), aclosing(source.generate(REQUEST)) as chunks:
        assert await anext(chunks) == CHUNK
        with pytest.raises(RunFailedError, match="16777216 bytes") as failed:
            assert [chunk async for chunk in chunks if chunk is not None] == []
    assert failed.value.error.code == "upstream_invalid"


async def test_an_end_without_a_chunk_is_reported_as_truncated() -> None:
    async with asked(sends(DONE), retries=2) as (source, provider):
        assert (await failure(source)).code == "upstream_truncated"
    assert len(provider.bodies) == 1


@pytest.mark.parametrize(
    "frame",
    [
        b'data: {"error":{"code":"overloaded","message":"too much","type":"t"}}\n\n',
        b'event: error\ndata: {"code":"overloaded","message":"too much","type":"t"}\n\n',
    ],
)
async def test_an_error_in_the_stream_is_reported_as_the_providers(frame: bytes) -> None:
    async with asked(sends(FRAME, frame)) as (source, _):
        error = await failure(source)
    assert (error.code, error.message, error.type, error.http_status) == ("overloaded", "too much", "t", None)


@pytest.mark.parametrize("first", [drops(), drops(FRAME[:10]), refuses("503 Busy", b"{}")])
async def test_a_failure_before_the_first_chunk_is_retried(first: Answer) -> None:
    async with asked(first, sends(FRAME, DONE), retries=1) as (source, provider):
        assert await all_chunks(source) == [CHUNK]
    assert len(provider.bodies) == 2


async def test_an_empty_error_event_is_an_error() -> None:
    async with asked(sends(b"event: error\ndata:\n\n")) as (source, _):
        assert (await failure(source)).code == "upstream_error"


@pytest.mark.parametrize("scheme", ["HTTP", "HTTPS", "ALL"])
async def test_a_provider_on_this_machine_is_reached_without_the_proxy(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv(f"{scheme}_PROXY", f"http://127.0.0.1:{free_port()}")
    async with asked(sends(FRAME, DONE)) as (source, _):
        assert await all_chunks(source) == [CHUNK]


async def test_a_setting_uses_the_proxy_for_private_addresses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_provider(sends(FRAME, DONE)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
        source = source_at("http://10.0.0.1/v1", uses_proxy_for_private=True)
        assert await all_chunks(source) == [CHUNK]
        await source.close()


async def test_a_silent_provider_is_asked_once() -> None:
    """It may be working, and bill each try."""
    async with asked(hangs(), sends(FRAME, DONE), retries=1, patience_s=0.3) as (source, provider):
        assert (await failure(source)).code == "upstream_timeout"
    assert len(provider.bodies) == 1


async def test_a_silent_provider_is_asked_again_if_the_operator_wants_that() -> None:
    async with raw_provider(hangs(), sends(FRAME, DONE)) as provider:
        # The second answer must come within it on a busy machine, too.
        source = source_at(provider.base_url, retries=1, patience_s=3, retries_timeouts=True)
        assert await all_chunks(source) == [CHUNK]
        await source.close()
    assert len(provider.bodies) == 2


async def test_a_timeout_of_zero_waits_for_ever() -> None:
    async with asked(sends(FRAME, DONE), patience_s=0) as (source, _):
        assert await all_chunks(source) == [CHUNK]


@pytest.mark.parametrize("sign", [b": still here\n\n", b"data:\n\n", b":\n", b"\n"])
async def test_an_answer_may_begin_late_if_its_provider_shows_that_it_is_alive(sign: bytes) -> None:
    """The provider sends signs of life for longer than the source would wait in silence."""
    patience_s = 1.0

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        begin = clock()
        writer.write(HEAD)
        while clock() < begin + 1.3 * patience_s:
            writer.write(sign)
            await writer.drain()
            await asyncio.sleep(patience_s / 50)
        writer.write(FRAME + DONE)

    async with asked(answer, patience_s=patience_s) as (source, provider):
        assert await all_chunks(source) == [CHUNK]
    assert len(provider.bodies) == 1


async def test_silence_after_signs_of_life_is_silence() -> None:
    async with asked(hangs(HEAD, b": still here\n\n" * 3), patience_s=0.3) as (source, _):
        assert (await failure(source)).code == "upstream_timeout"


@pytest.mark.parametrize("sign", [b": still here\n\n", b"data:\n\n", b"da"])
async def test_a_frame_without_a_chunk_is_a_sign_of_life(sign: bytes) -> None:
    has_chunk = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + FRAME)
        await has_chunk.wait()
        writer.write(sign)
        await reader.read()

    async with (
        asyncio.timeout(DEADLINE_S),
        asked(answer) as (source, _),
        aclosing(source.generate(REQUEST)) as chunks,
    ):
        assert await anext(chunks) == CHUNK
        has_chunk.set()
        assert await anext(chunks) is None


async def test_a_failure_after_the_first_chunk_is_not_retried() -> None:
    async with asked(drops(FRAME), sends(FRAME, DONE), retries=3) as (source, provider):
        assert (await failure(source)).code == "upstream_disconnected"
    assert len(provider.bodies) == 1


@pytest.mark.parametrize(
    "answer",
    [
        refuses("400 Bad Request", b'{"error":{"message":"no"}}'),
        refuses("429 Too Many Requests", QUOTA),
        refuses("429 Too Many Requests", b"{}", b"retry-after: 3600"),
    ],
    ids=["our fault", "no money", "an hour"],
)
async def test_a_permanent_failure_is_not_retried(answer: Answer) -> None:
    async with asked(answer, sends(FRAME, DONE), retries=3) as (source, provider):
        assert (await failure(source)).http_status in {400, 429}
    assert len(provider.bodies) == 1


async def test_an_unreachable_provider_is_reported_as_unreachable() -> None:
    source = source_at(f"http://127.0.0.1:{free_port()}/v1")
    error = await failure(source)
    assert (error.code, error.retryable) == ("upstream_disconnected", True)
    await source.close()


async def test_closing_the_answer_ends_the_call_at_once(provider: Simulator) -> None:
    source = source_at(f"{provider.url}/v1")
    aborted = counts(provider.url, "demo-long").get("aborted", 0)
    request = {**REQUEST, "model": "demo-long", "simulator": {"chunks_per_s": 5}}
    async with aclosing(source.generate(request)) as chunks:
        await anext(chunks)
    await until(lambda: counts(provider.url, "demo-long").get("aborted", 0) == aborted + 1)
    await source.close()


async def test_the_models_are_what_the_provider_lists(provider: Simulator) -> None:
    source = source_at(f"{provider.url}/v1")
    models = await source.list_models()
    assert ("demo", "manycast-simulator") in {(model.id, model.owned_by) for model in models}
    await source.close()


async def test_a_provider_that_lists_nothing_is_no_failure() -> None:
    source = source_at(f"http://127.0.0.1:{free_port()}/v1")
    assert await source.list_models() == ()
    await source.close()


async def test_a_server_that_speaks_no_http_lists_nothing() -> None:
    async with raw_provider(hangs_up(b"no HTTP at all\r\n\r\n")) as provider:
        source = source_at(provider.base_url)
        assert await source.list_models() == ()
        await source.close()


def test_a_source_needs_a_key_or_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    with pytest.raises(SourceNotFoundError, match="OPENAI_API_KEY"):
        open_source(Settings())


async def test_numbers_that_json_does_not_have_are_null() -> None:
    async with asked(sends(b'data: {"a":[NaN,-Infinity,1],"choices":[]}\n\n', DONE)) as (source, _):
        assert await all_chunks(source) == [{"a": [None, None, 1], "choices": []}]


@pytest.mark.parametrize(
    ("pieces", "is_complete"), [([FRAME, DONE], True), ([FRAME, b"data:[DONE]"], True), ([FRAME], False)]
)
async def test_done_says_that_the_answer_is_complete(pieces: list[bytes], is_complete: bool) -> None:
    async with asked(sends(*pieces)) as (source, _), aclosing(source.generate(REQUEST)) as chunks:
        assert [chunk is END async for chunk in chunks][1:] == [True] * is_complete


WEB_PAGE = "The provider sent a web page instead of an answer"
ERROR_BODIES: list[tuple[bytes, str, str]] = [
    (b'{"error":{"message":"no money","code":"insufficient_quota"}}', "insufficient_quota", "no money"),
    (b'{\n  "detail": "Not\\nnow"\n}\n', "upstream_error", "Not now"),
    (b'[{"error":{"status":"UNAVAILABLE","code":503,"message":"later"}}]', "UNAVAILABLE", "later"),
    (b'\xef\xbb\xbf{"msg":"later"}', "upstream_error", "later"),
    (b': waiting\n\n{"message":"later"}', "upstream_error", "later"),
    (
        b"<!doctype html>\n<html><head>\n<title>Sign in</title></head>\n\n</html>",
        "upstream_invalid",
        f"{WEB_PAGE}: Sign in",
    ),
    (b"no healthy upstream", "upstream_invalid", "no healthy upstream"),
    (b'{"choices":[]}', "upstream_invalid", "The provider sent JSON that is not an answer."),
]


@pytest.mark.parametrize(("body", "code", "message"), ERROR_BODIES)
async def test_an_error_with_status_200_is_told_in_the_providers_words(body: bytes, code: str, message: str) -> None:
    async with asked(refuses("200 OK", body, b"content-type: application/json")) as (source, _):
        error = await failure(source)
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize("status", ["200 OK", "429 Too Many Requests"])
async def test_fields_beside_the_error_are_read(status: str) -> None:
    body = b'{"statusCode":429,"message":"Slow down","error":"Too Many Requests"}'
    async with asked(refuses(status, body)) as (source, _):
        error = await failure(source)
    assert (error.message, error.http_status) == ("Slow down", 429)


async def test_a_whole_completion_as_json_is_a_chunk_and_an_end() -> None:
    message = {"role": "assistant", "content": "Hi"}
    whole = {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": message}]}
    async with asked(refuses("200 OK", json.dumps(whole, indent=1).encode())) as (source, _):
        assert await all_chunks(source) == [{**whole, "object": "chat.completion.chunk"}]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b'data: {"detail":"It broke"}\n\n', "It broke"),
        (b'data: {"message":"It broke","type":"server_error"}\n\n', "It broke"),
        (b'data: {"object":"error","message":"It broke","code":500}\n\n', "It broke"),
        (b'data: [{"error":{"message":"It broke"}}]\n\n', "It broke"),
        (b'data: {"choices":[],"error":{"message":"It broke"}}\n\n', "It broke"),
        (b"data: It broke\n\n", "It broke"),
        (b'data: "It broke"\n\n', "It broke"),
        (b"event: error\ndata: It broke\n\n", "It broke"),
        (
            b"data: <html><title>It broke</title></html>\n\n",
            "The provider sent a web page instead of an answer: It broke",
        ),
        (b'{"error":{"message":"It broke"}}', "It broke"),
        (b'{"error":{"message":"It broke"}}\n', "It broke"),
        (b'\n{"detail":"It broke"}\n\n', "It broke"),
    ],
)
async def test_an_error_in_the_middle_is_told_in_the_providers_words(frame: bytes, message: str) -> None:
    async with asked(sends(FRAME, frame)) as (source, _):
        assert (await failure(source)).message == message


@pytest.mark.parametrize(
    "frame",
    [b'data: {"type":"ping"}\n\n', b'data: {"code":0,"msg":"success"}\n\n', b'data: {"usage":{},"detail":"x"}\n\n'],
)
async def test_a_frame_that_is_no_chunk_and_no_error_does_no_harm(frame: bytes) -> None:
    async with asked(sends(FRAME, frame, DONE)) as (source, _):
        assert (await all_chunks(source))[0] == CHUNK


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"error":{"code":429,"message":"Slow down"}}\n\n',
        b"data: 429 Too Many Requests\n\n",
        b'{"error":{"code":"rate_limit_exceeded","message":"Slow down"}}',
    ],
)
async def test_a_first_frame_that_says_429_is_retried_like_a_429(body: bytes) -> None:
    async with asked(sends(body), sends(FRAME, DONE), retries=1) as (source, provider):
        assert await all_chunks(source) == [CHUNK]
    assert len(provider.bodies) == 2
    async with asked(sends(body)) as (source, _):
        error = await failure(source)
    assert (error.http_status, error.retryable) == (429, True)


async def test_a_first_frame_that_says_400_is_not_retried() -> None:
    frame = b'data: {"error":{"code":400,"message":"No such tool"}}\n\n'
    async with asked(sends(frame), sends(FRAME, DONE), retries=2) as (source, provider):
        assert (await failure(source)).http_status == 400
    assert len(provider.bodies) == 1


@pytest.mark.parametrize(
    "answer",
    [
        drops(FRAME),
        drops(),
        hangs_up(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab"),
        hangs_up(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a length\r\n"),
        hangs_up(b"no HTTP at all\r\n\r\n"),
        hangs_up(b""),
        hangs_up(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello"),
    ],
)
async def test_a_broken_connection_is_told_without_the_librarys_text(answer: Answer) -> None:
    async with asked(answer) as (source, _):
        error = await failure(source)
    assert (error.code, error.message) == ("upstream_disconnected", "The connection to the provider was lost.")


def squeezed(text: bytes, more: bytes) -> tuple[bytes, bytes]:
    """`text` as gzip that does not end, and a piece that may follow any number of times: `more`, over and over."""
    squeeze = zlib.compressobj(wbits=31)
    first = squeeze.compress(text) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return first, squeeze.compress(more * 100_000) + squeeze.flush(zlib.Z_FULL_FLUSH)


REFUSAL = b'{"error":{"message":"No such model"}}'
GZIP_REFUSAL, GZIP_BLANKS = squeezed(REFUSAL, b" ")


@pytest.mark.parametrize("status", ["404 Not Found", "302 Found"])
@pytest.mark.parametrize(
    ("headers", "first", "then"),
    [((), REFUSAL, b" " * 10_000), ((b"content-encoding: gzip",), GZIP_REFUSAL, GZIP_BLANKS)],
    ids=["plain", "gzip"],
)
async def test_an_endless_error_is_read_only_to_its_limit(
    status: str, headers: tuple[bytes, ...], first: bytes, then: bytes
) -> None:
    async with asked(never_ends(status, *headers, first=first, then=then)) as (source, _):
        async with asyncio.timeout(DEADLINE_S):
            error = await failure(source)
    assert error.http_status == int(status[:3])
    if status.startswith("404"):
        assert error.message == "No such model"


async def test_an_endless_list_of_models_is_read_only_to_its_limit() -> None:
    async with asked(never_ends("200 OK", first=b'{"data":[', then=b" " * 100_000)) as (source, _):
        async with asyncio.timeout(DEADLINE_S):
            assert await source.list_models() == ()
    assert source.describe().problem == "its list of models cannot be read"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_reported_and_not_followed(status: int) -> None:
    async with raw_provider(sends(FRAME, DONE)) as elsewhere:
        place = f"location: {elsewhere.base_url}/chat/completions".encode()
        async with asked(refuses(f"{status} Moved", b"", place), retries=1) as (source, provider):
            error = await failure(source)
            assert await source.list_models() == ()
        assert elsewhere.heads == []
    assert len(provider.heads) == 2
    assert (error.http_status, error.retryable) == (status, False)
    assert "redirect" in error.message


async def test_an_unreachable_provider_is_named() -> None:
    source = source_at(f"http://127.0.0.1:{free_port()}/v1")
    assert (await failure(source)).message == "The provider cannot be reached."
    await source.close()


async def test_a_choice_that_says_error_fails_the_answer() -> None:
    chunk = {
        "choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "Upstream"}}]
    }
    with pytest.raises(RunFailedError) as failed:
        await chunks_of((FRAME, b"data: " + json.dumps(chunk).encode() + b"\n\n"))
    assert (failed.value.error.message, failed.value.error.http_status) == ("Upstream", 502)


@pytest.fixture
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.usefixtures("without_proxies")
async def test_a_socks_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_provider(sends(FRAME, DONE)) as provider, socks_server() as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        source = source_at(provider.base_url, uses_proxy_for_private=True)
        async with aclosing(source.generate(REQUEST)) as items:
            assert CHUNK in [item async for item in items]
        await source.close()
    assert [host for host, _ in proxy.asked] == ["127.0.0.1"]


@pytest.mark.usefixtures("without_proxies")
async def test_a_socks_proxy_that_is_away_is_a_provider_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{free_port()}")
    source = source_at("http://127.0.0.1:1/v1", uses_proxy_for_private=True)
    with pytest.raises(RunFailedError) as failed:
        async with aclosing(source.generate(REQUEST)) as items:
            await anext(items)
    assert failed.value.error.code == "upstream_disconnected"
    await source.close()


def text_frame(text: str, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "1", "choices": [choice]}).encode() + b"\n\n"


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_chunks_that_arrive_while_the_source_waits_are_taken_without_waking_it(is_chunked: bool) -> None:
    goes_on = asyncio.Semaphore(0)

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = HEAD.replace(b"connection: close", b"transfer-encoding: chunked") if is_chunked else HEAD

        def send(frame: bytes) -> None:
            writer.write(b"%x\r\n%b\r\n" % (len(frame), frame) if is_chunked else frame)

        writer.write(head)
        for text in "abc":
            send(text_frame(text))
        for text in ("d", "ef", "g", "h"):
            await goes_on.acquire()
            send(b"".join(map(text_frame, text)))
        await goes_on.acquire()
        send(text_frame("", "stop") + DONE)
        if is_chunked:
            writer.write(b"0\r\n\r\n")

    async with asked(answer) as (source, _), aclosing(source.generate(REQUEST)) as items:
        similar = [await anext(items) for _ in range(3)][-1]
        assert isinstance(similar, SimilarChunk)
        taken: list[bytes] = []
        is_willing = True

        def take(chunks: list[tuple[bytes, ...]]) -> bool:
            if is_willing:
                taken.extend(text for (text,) in chunks)
            return is_willing

        # The source waits now. What it does not take itself, it must yield.
        similar.pattern.taker = take
        waiting = asyncio.ensure_future(anext(items))
        for texts in ([b"d"], [b"d", b"e", b"f"], [b"d", b"e", b"f", b"g"]):
            goes_on.release()
            await until(partial(operator.eq, taken, texts))
        assert not waiting.done()
        is_willing = False
        goes_on.release()
        yielded: Any = await waiting
        assert (taken, yielded.texts) == ([b"d", b"e", b"f", b"g"], (b"h",))
        goes_on.release()
        rest = [item async for item in items]
        assert rest[-1] is END


async def test_chunks_that_are_taken_and_chunks_that_are_yielded_keep_their_order() -> None:
    texts = [str(number) for number in range(300)]

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        left = iter(texts)
        for number in count():
            piece = b"".join(map(text_frame, islice(left, 1 + number % 4)))
            writer.write(piece or DONE)
            await writer.drain()
            if not piece:
                return
            # Its reader gets some pieces one by one and some together.
            for _turn in range(number % 5):
                await asyncio.sleep(0)

    got: list[str] = []
    turns = cycle([True, True, False, True])

    def take(chunks: list[tuple[bytes, ...]]) -> bool:
        is_willing = next(turns)
        if is_willing:
            got.extend(text.decode() for (text,) in chunks)
        return is_willing

    async with asked(answer) as (source, _), aclosing(source.generate(REQUEST)) as items:
        async for item in items:
            if isinstance(item, SimilarChunk):
                got.append(item.texts[0].decode())
                item.pattern.taker = take
            elif item:
                assert isinstance(item, dict)
                got.append(item["choices"][0]["delta"]["content"])
            # Pieces also arrive while the source does not wait for them.
            for _turn in range(len(got) % 7):
                await asyncio.sleep(0)
    assert got == texts
