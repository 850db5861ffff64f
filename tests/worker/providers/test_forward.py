"""Pass-through calls against real connections: what is asked, and what becomes of every answer."""

import json
from contextlib import aclosing
from typing import Any

import pytest

from contract.errors import RunError, RunFailedError
from tests.worker.providers.test_openai_source import asked
from tests.worker.raw_provider import HEAD, drops, hangs_up, refuses, sends
from worker.providers.openai_source import OpenAISource
from worker.providers.plug_in import FunctionSource
from worker.providers.source import END
from worker.providers.whole_body import PIECE_LIMIT_BYTES

REQUEST = {"model": "m", "input": ["a", "b"], "vendor": {"x": [1]}}
ANSWER = b'{ "object": "list",\n "data": [{"embedding": [0.1, -2e-7]}], "vendor": "\xc3\xa9\\ud83d" }'
JSON_HEAD = HEAD.replace(b"text/event-stream", b"application/json")


async def forwarded(
    source: OpenAISource, endpoint: str = "embeddings", request: dict[str, Any] | None = None
) -> list[Any]:
    async with aclosing(source.forward(endpoint, request or REQUEST)) as chunks:
        return [chunk async for chunk in chunks if chunk is not None]


async def body_of(source: OpenAISource) -> bytes:
    """The pieces, joined. The last item must be END."""
    *pieces, end = await forwarded(source)
    assert end is END
    assert all(len(piece["body"].encode()) <= 2 * PIECE_LIMIT_BYTES for piece in pieces)
    return b"".join(piece["body"].encode() for piece in pieces)


async def failure(source: OpenAISource) -> RunError:
    with pytest.raises(RunFailedError) as failed:
        await forwarded(source)
    return failed.value.error


async def test_request_and_answer_pass_unchanged() -> None:
    async with asked(hangs_up(JSON_HEAD + ANSWER)) as (source, provider):
        assert await body_of(source) == ANSWER
    # The SDK's own method would ask for base64.
    assert json.loads(provider.bodies[0]) == REQUEST


async def test_half_a_character_in_a_request_is_replaced() -> None:
    request = {"model": "m", "input": ["cut \ud83d", "whole \ud83d\ude42 é"], "\ud83d": 1.5}
    async with asked(hangs_up(JSON_HEAD + ANSWER)) as (source, provider):
        await forwarded(source, request=request)
    assert json.loads(provider.bodies[0]) == {"model": "m", "input": ["cut \ufffd", "whole 🙂 é"], "\ufffd": 1.5}


async def test_a_large_answer_comes_in_pieces_that_split_no_character() -> None:
    large = json.dumps({"data": ["é🙂" * 100_000]}, ensure_ascii=False).encode()
    pieces = [large[start : start + 9_999] for start in range(0, len(large), 9_999)]
    async with asked(sends(*pieces)) as (source, _):
        assert await body_of(source) == large


async def test_a_byte_order_mark_is_left_out() -> None:
    async with asked(sends(b"\xef\xbb\xbf" + ANSWER)) as (source, _):
        assert await body_of(source) == ANSWER


async def test_a_streamed_completion_comes_as_its_chunks() -> None:
    chunks = [{"id": "c", "choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in ("a", "b")]
    frames = [b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks]
    request = {"model": "m", "prompt": "p", "stream": True}
    async with asked(sends(*frames, b"data: [DONE]\n\n")) as (source, provider):
        assert await forwarded(source, "completions", request) == [*chunks, END]
    assert json.loads(provider.bodies[0]) == request


LARGE = b" " * 2 * PIECE_LIMIT_BYTES


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"<html><title>Bad gateway</title>", "upstream_invalid", "web page instead of an answer: Bad gateway"),
        (b"<html><title>Bad gateway</title>" + LARGE, "upstream_invalid", "Bad gateway"),
        (b'{"error":{"message":"no","code":"odd"}}', "odd", "no"),
        (b'{"detail":"no such thing"}', "upstream_error", "no such thing"),
        (b"[1]", "upstream_invalid", "not an answer"),
        (b"oops", "upstream_invalid", "oops"),
        (b'{"data":', "upstream_invalid", "not JSON"),
        (b'{"data":"\xff"}', "upstream_invalid", "not text"),
        (b'{"data":["' + LARGE, "upstream_truncated", "incomplete"),
        (b"", "upstream_truncated", "without sending anything"),
    ],
)
async def test_an_invalid_answer_is_an_error(body: bytes, code: str, message: str) -> None:
    async with asked(sends(body)) as (source, _):
        error = await failure(source)
    assert error.code == code
    assert message in error.message


async def test_a_cut_connection_is_an_error() -> None:
    async with asked(drops(ANSWER)) as (source, _):
        assert (await failure(source)).code == "upstream_disconnected"


async def test_a_refusal_keeps_status_and_words_and_is_repeated_as_for_chats() -> None:
    error = b'{"error":{"message":"Slow down.","type":"requests","code":"rate_limit_exceeded"}}'
    slow = refuses("429 Too Many", error, b"retry-after-ms: 1")
    async with asked(slow) as (source, _):
        told = await failure(source)
    assert (told.http_status, told.code, told.message) == (429, "rate_limit_exceeded", "Slow down.")
    async with asked(slow, sends(ANSWER), retries=1) as (source, provider):
        assert await body_of(source) == ANSWER
    assert len(provider.bodies) == 2


async def test_a_custom_generator_serves_no_pass_through_calls() -> None:
    async def nothing(_: dict[str, Any]) -> Any:
        yield {}

    with pytest.raises(RunFailedError) as failed:
        await anext(FunctionSource(nothing, "nothing").forward("embeddings", REQUEST))
    assert (failed.value.error.http_status, failed.value.error.code) == (404, "unsupported_endpoint")
