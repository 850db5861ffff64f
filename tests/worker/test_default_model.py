"""Requests that name no model: the configured one, or the first for chats that the provider lists."""

import json
from collections.abc import AsyncIterator

import pytest

from contract.connection import command_client
from tests.broker import Broker
from tests.stack import Worker, closing_all
from tests.worker.raw_provider import Answer, raw_provider, refuses, sends
from tests.worker.runs import Caller, done
from worker.default_model import can_chat
from worker.settings import Settings

ANSWER = {"id": "1", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
ANSWERS = sends(b"data: " + json.dumps(ANSWER).encode() + b"\n\n", b"data: [DONE]\n\n")


def lists(*names: str) -> Answer:
    models = [{"id": name, "object": "model", "owned_by": "us", "created": 1} for name in names]
    body = json.dumps({"object": "list", "data": models}).encode()
    return refuses("200 OK", body, b"content-type: application/json")


@pytest.fixture
async def caller(fragile_broker: Broker) -> AsyncIterator[Caller]:
    client = command_client(fragile_broker.url)
    yield Caller(client)
    await client.aclose()


async def test_the_first_model_for_chats_that_the_provider_lists_is_asked(
    fragile_broker: Broker, caller: Caller
) -> None:
    async with raw_provider(lists("text-embedding-3-small", "whisper-1", "llama3", "qwen3"), ANSWERS) as provider:
        base_url = provider.base_url.removesuffix("/v1")
        with closing_all(Worker(fragile_broker.url, base_url, MANYCAST_DEFAULT_MODEL="")):
            assert done(await caller.run(""))["status"] == "completed"
        assert json.loads(provider.bodies[-1])["model"] == "llama3"


@pytest.mark.parametrize(
    "listing",
    [lists(), lists("nomic-embed-text"), refuses("404 Not Found", b"{}")],
    ids=["none", "none for chats", "no list"],
)
async def test_without_any_the_error_names_the_setting(fragile_broker: Broker, caller: Caller, listing: Answer) -> None:
    async with raw_provider(listing) as provider:
        base_url = provider.base_url.removesuffix("/v1")
        with closing_all(Worker(fragile_broker.url, base_url, MANYCAST_DEFAULT_MODEL="")):
            error = done(await caller.run(""))["error"]
    assert error["code"] == "model_not_found"
    assert "Set MANYCAST_DEFAULT_MODEL" in error["message"]


@pytest.mark.parametrize(
    ("base_url", "given", "model"),
    [
        ("", "", "gpt-4o-mini"),
        ("https://api.openai.com/v1/", "", "gpt-4o-mini"),
        ("http://127.0.0.1:11434/v1", "", ""),
        ("http://127.0.0.1:11434/v1", "llama3", "llama3"),
    ],
)
def test_only_openai_has_a_default_model_that_is_known_beforehand(
    monkeypatch: pytest.MonkeyPatch, base_url: str, given: str, model: str
) -> None:
    monkeypatch.delenv("MANYCAST_PROVIDERS", raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", base_url)
    monkeypatch.setenv("MANYCAST_DEFAULT_MODEL", given)
    assert Settings().fixed_default_model == model


@pytest.mark.parametrize(
    "model",
    [
        *("text-embedding-ada-002", "nomic-embed-text:latest", "BAAI/bge-m3", "intfloat/e5-large-v2", "all-minilm:33m"),
        *("rerank-v3.5", "bge-reranker-v2-m3", "jina-reranker-v2", "omni-moderation-latest", "llama-guard3:8b"),
        *("whisper-1", "openai/whisper-large-v3", "gpt-4o-transcribe", "gpt-4o-mini-tts", "tts-1-hd"),
        *("dall-e-3", "gpt-image-1", "sora-2", "stable-diffusion-xl", "gpt-4o-realtime-preview", "davinci-002"),
    ],
)
def test_a_model_for_something_else_cannot_chat(model: str) -> None:
    assert not can_chat(model)


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-4o-mini", "o3", "chatgpt-4o-latest", "llama3.2:3b", "qwen3-vl-8b", "claude-sonnet-4-5", "deepseek-r1"),
        *("mistral-small-latest", "gemini-2.5-flash", "phi4", "gemma3", "demo", "anthropic/claude-3.5-haiku"),
        *("command-r-plus", "embedded-llama", "guardian-7b", "grok-4", "gpt-oss:20b", "vicuna", "models/gemini-pro"),
    ],
)
def test_a_model_whose_name_says_nothing_else_can_chat(model: str) -> None:
    assert can_chat(model)
