"""What the error says about a path that this server does not have."""

import pytest

from gateway.http.unknown_path import explain_path

ROUTES = {"/v1/chat/completions", "/v1/embeddings", "/v1/models", "/healthz"}


def explain(path: str, prefix: str = "") -> str:
    return explain_path(path, prefix, ROUTES.__contains__)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/embeddings", "/v1/embeddings"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/v1/models", "/v1/models"),
        ("/v1//chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("//v1/chat/completions", "/v1/chat/completions"),
        ("/api/chat/completions", "/v1/chat/completions"),
        ("/api/v1/chat/completions", "/v1/chat/completions"),
        ("/openai/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/models", "/v1/models"),
    ],
)
def test_a_wrong_base_url_is_told_the_right_address(path: str, address: str) -> None:
    assert explain(path) == f"This server has that call at {address}: the client's base URL must end in /v1, once."


@pytest.mark.parametrize("path", ["/v1/streams//events", "/v1/chat/completions//messages", "/v1/streams/s_1//x/"])
def test_an_empty_part_is_told_where_an_id_may_be_missing(path: str) -> None:
    # `/v1/models` stands for a call of that name with an id behind it.
    assert explain_path(path, "", lambda found: "//" not in found) == (
        "A part of this path is empty: an id may be missing there."
    )


def test_the_address_contains_the_prefix_of_the_proxy() -> None:
    assert "has that call at /llm/v1/models: " in explain("/models", "/llm")
    assert "must end in /llm/v1, once" in explain("/models", "/llm")


def test_an_address_outside_of_the_api_has_no_base_url() -> None:
    assert explain("/healthz/") == "This server has that call at /healthz."


def test_azures_addresses_name_the_client_and_the_model_to_use() -> None:
    advice = explain("/openai/deployments/my-gpt/chat/completions")
    assert "OpenAI's client instead of Azure's" in advice
    assert "ends in /v1, and 'my-gpt' as the model" in advice
    assert len(explain(f"/openai/deployments/{'x' * 5000}/chat/completions")) < 300


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/assistants", "/v1/assistants"),
        ("/v1/files/file-1/content", "/v1/files"),
        ("/v1/images/generations", "/v1/images"),
        ("/v1/audio/transcriptions", "/v1/audio"),
        ("/v1/conversations", "/v1/conversations"),
        ("/files", "/v1/files"),
    ],
)
def test_a_call_that_is_not_offered_is_named(path: str, call: str) -> None:
    assert explain(path).startswith(f"This server does not have OpenAI's {call}. Send this call to the provider")


@pytest.mark.parametrize(
    ("path", "owner"), [("/v1/messages", "Anthropic's"), ("/api/tags", "Ollama's"), ("/v1beta/models/x", "Gemini's")]
)
def test_the_api_of_another_product_is_named(path: str, owner: str) -> None:
    assert explain(path).startswith(f"This is a call of {owner} API. Use a client of OpenAI's API")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/streams/s_1/nothing", "/index.php", ""])
def test_nothing_is_said_about_a_path_that_means_nothing(path: str) -> None:
    assert explain(path) == ""
