"""The bodies of pass-through calls."""

import json
from typing import Any

import pytest

from contract.job_queue import Policy
from gateway.http.errors import ApiError
from gateway.runs.chat_request import ChatRequest
from gateway.runs.pass_through import Endpoint, parse_pass_through

BODY = {"model": "m", "input": ["a"], "stream": True, "vendor": None}


def parse(endpoint: Endpoint, body: Any) -> ChatRequest:
    return parse_pass_through(endpoint, json.dumps(body).encode())


def test_the_provider_gets_everything_but_our_own_part() -> None:
    parsed = parse("embeddings", {**BODY, "manycast": {"on_worker_lost": "fail"}})
    assert json.loads(parsed.request) == BODY
    assert (parsed.endpoint, parsed.model, parsed.policy) == ("embeddings", "m", Policy("fail"))


def test_only_a_text_completion_is_streamed() -> None:
    assert parse("completions", BODY).stream
    assert not parse("embeddings", BODY).stream
    assert not parse("completions", {**BODY, "stream": None}).stream


@pytest.mark.parametrize(("asked", "dialect"), [(True, "openai-usage"), (False, "openai")])
def test_usage_is_streamed_only_if_requested(asked: bool, dialect: str) -> None:
    assert parse("completions", {**BODY, "stream_options": {"include_usage": asked}}).dialect == dialect


def test_a_moderation_needs_no_model() -> None:
    assert parse("moderations", {"input": "x"}).model == ""
    assert parse("moderations", {"input": "x", "model": None}).model == ""


def test_the_same_body_at_another_endpoint_is_another_request() -> None:
    assert parse("embeddings", BODY).digest != parse("moderations", BODY).digest


def test_only_a_prompt_counts_as_one() -> None:
    assert parse("completions", {"prompt": ["ab", "c"]}).prompt_chars == 3
    assert parse("embeddings", {"input": ["ab", "c"]}).prompt_chars == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": 1}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"manycast": {"visibility": "unlisted"}}, "manycast.visibility"),
    ],
)
def test_a_wrong_field_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse("completions", body)
    assert (refused.value.status, refused.value.body["error"]["param"]) == (400, param)


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b'{"input":NaN}'])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        parse_pass_through("embeddings", body)
    assert (refused.value.status, refused.value.body["error"]["code"]) == (400, "invalid_json")
