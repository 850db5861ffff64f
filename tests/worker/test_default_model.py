"""Requests that name no model: the configured one, or the first one that the provider lists."""

import json
from collections.abc import AsyncIterator

import pytest

from contract.connection import command_client
from tests.broker import Broker
from tests.stack import Worker, closing_all
from tests.worker.raw_provider import Answer, raw_provider, refuses, sends
from tests.worker.runs import Caller, done
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


async def test_the_first_model_that_the_provider_lists_is_asked(fragile_broker: Broker, caller: Caller) -> None:
    async with raw_provider(lists("llama3", "qwen3"), ANSWERS) as provider:
        base_url = provider.base_url.removesuffix("/v1")
        with closing_all(Worker(fragile_broker.url, base_url, MANYCAST_DEFAULT_MODEL="")):
            assert done(await caller.run(""))["status"] == "completed"
        assert json.loads(provider.bodies[-1])["model"] == "llama3"


@pytest.mark.parametrize("listing", [lists(), refuses("404 Not Found", b"{}")], ids=["none", "no list"])
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
