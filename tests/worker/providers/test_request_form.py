"""Providers that refuse `stream_options` or `stream`: real servers, and the simulator's models that do so."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from contract.errors import RunError, RunFailedError
from contract.event import Chunk
from tests.stack import Simulator
from tests.worker.raw_provider import Answer, RawProvider, raw_provider, refuses, sends
from tests.worker.runs import counts
from worker.providers.openai_source import OpenAISource
from worker.providers.provider_table import CallOptions, Provider
from worker.providers.source import END

DELTA = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
STREAMED = sends(b"data: " + json.dumps({"choices": [DELTA]}).encode() + b"\n\n", b"data: [DONE]\n\n")
MESSAGE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
WHOLE = refuses("200 OK", json.dumps({"object": "chat.completion", "choices": [MESSAGE]}).encode())
OURS = {"include_usage": True}

OPTIONS_REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("400 Bad Request", {"error": {"message": "Unknown parameter", "param": "stream_options"}}),
    ("400 Bad Request", {"message": "stream_options is not supported"}),
    (
        "422 Unprocessable Entity",
        {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]},
    ),
    ("422 Unprocessable Entity", {"detail": "property 'stream_options' is unsupported"}),
]
STREAM_REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("400 Bad Request", {"error": {"message": "Unsupported value", "param": "stream", "code": "unsupported_value"}}),
    ("400 Bad Request", {"error": {"message": "Your organization must be verified to stream this model."}}),
    ("400 Bad Request", {"error": {"message": "Streaming is not supported for this model."}}),
    ("422 Unprocessable Entity", {"detail": [{"loc": ["body", "stream"], "msg": "Input should be False"}]}),
]


def says(refusal: tuple[str, dict[str, Any]]) -> Answer:
    return refuses(refusal[0], json.dumps(refusal[1]).encode())


def source_at(base_url: str, **fields: Any) -> OpenAISource:
    return OpenAISource(
        Provider(base_url=base_url, models=("*",), **fields),
        default_options=lambda _: CallOptions(first_chunk_timeout_s=10),
        connect_timeout_s=2,
        retries=0,
    )


@asynccontextmanager
async def asked(*answers: Answer, **fields: Any) -> AsyncIterator[tuple[OpenAISource, RawProvider]]:
    async with raw_provider(*answers) as provider:
        source = source_at(provider.base_url, **fields)
        yield source, provider
        await source.close()


async def ask(source: OpenAISource, model: str = "m", **fields: Any) -> list[Chunk]:
    request = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}
    async with aclosing(source.generate(request)) as items:
        return [item async for item in items if isinstance(item, dict)]


async def failure(source: OpenAISource, **fields: Any) -> RunError:
    with pytest.raises(RunFailedError) as failed:
        await ask(source, **fields)
    return failed.value.error


def forms(provider: RawProvider) -> list[tuple[bool, dict[str, Any] | None]]:
    bodies = [json.loads(body) for body in provider.bodies]
    return [(body["stream"], body.get("stream_options")) for body in bodies]


@pytest.mark.parametrize("refusal", OPTIONS_REFUSED)
async def test_stream_options_are_left_out_where_they_are_refused_and_then_always(
    refusal: tuple[str, dict[str, Any]],
) -> None:
    async with asked(says(refusal), STREAMED) as (source, provider):
        for _ in range(2):
            assert (await ask(source, stream_options={"include_usage": True}))[-1] is END
    assert forms(provider) == [(True, OURS), (True, None), (True, None)]


@pytest.mark.parametrize("refusal", STREAM_REFUSED)
async def test_a_model_that_cannot_stream_answers_as_a_whole_and_then_always(
    refusal: tuple[str, dict[str, Any]],
) -> None:
    async with asked(says(refusal), WHOLE, WHOLE, STREAMED) as (source, provider):
        for _ in range(2):
            (chunk, end) = await ask(source)
            assert (chunk["object"], chunk["choices"], end) == ("chat.completion.chunk", [MESSAGE], END)
        await ask(source, "another model")
    assert forms(provider) == [(True, OURS), (False, None), (False, None), (True, OURS)]


async def test_both_may_be_refused_one_after_the_other() -> None:
    async with asked(says(OPTIONS_REFUSED[0]), says(STREAM_REFUSED[0]), WHOLE) as (source, provider):
        assert (await ask(source))[-1] is END
    assert forms(provider) == [(True, OURS), (True, None), (False, None)]


async def test_a_refusal_that_goes_on_is_told_after_one_more_try() -> None:
    async with asked(says(OPTIONS_REFUSED[1])) as (source, provider):
        assert (await failure(source)).message == "stream_options is not supported"
        assert (await failure(source)).http_status == 400
    assert forms(provider) == [(True, OURS), (True, None)] * 2


@pytest.mark.parametrize(
    "refusal",
    [
        ("400 Bad Request", {"error": {"message": "max_tokens is too large", "param": "max_tokens"}}),
        ("401 Unauthorized", {"error": {"message": "you may not stream", "param": "stream_options"}}),
        ("400 Bad Request", {"error": {"message": "upstream failed: streamer_x"}}),
    ],
)
async def test_other_refusals_are_told_at_once(refusal: tuple[str, dict[str, Any]]) -> None:
    async with asked(says(refusal), STREAMED) as (source, provider):
        assert (await failure(source)).message == refusal[1]["error"]["message"]
    assert len(provider.bodies) == 1


async def test_what_a_caller_puts_into_its_options_says_nothing_about_the_provider() -> None:
    async with asked(says(OPTIONS_REFUSED[0]), STREAMED) as (source, provider):
        await ask(source, stream_options={"include_obfuscation": 7})
        await ask(source)
    assert forms(provider) == [(True, {"include_obfuscation": 7, **OURS}), (True, None), (True, OURS)]


async def test_the_settings_decide_where_they_say_something() -> None:
    options = {
        "whole*": CallOptions(stream=False),
        "bare*": CallOptions(stream_options=False),
        "strict*": CallOptions(stream=True, stream_options=True),
    }
    async with asked(WHOLE, STREAMED, says(OPTIONS_REFUSED[0]), says(STREAM_REFUSED[0]), model=options) as (
        source,
        provider,
    ):
        await ask(source, "whole-1")
        await ask(source, "bare-1")
        for _ in range(2):
            assert (await failure(source, model="strict-1")).http_status == 400
    assert forms(provider) == [(False, None), (True, None), (True, OURS), (True, OURS)]


@pytest.mark.parametrize("model", ["quirk-refuses-stream", "quirk-refuses-stream-options"])
async def test_the_simulators_models_that_refuse_a_field_are_refused_once(provider: Simulator, model: str) -> None:
    before = counts(provider.url, model)
    source = source_at(f"{provider.url}/v1")
    for number in range(3):
        chunks = await ask(source, model, user=str(number))
        assert chunks[-1] is END
        text = "".join((choice.get("delta") or choice["message"])["content"] or "" for choice in chunks[0]["choices"])
        assert text or len(chunks) > 2
    await source.close()
    after = counts(provider.url, model)
    assert after["refused"] - before.get("refused", 0) == 1
    assert after["completed"] - before.get("completed", 0) == 3
