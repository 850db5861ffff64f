"""LangChain's ChatOpenAI: a framework on top of the SDK, with its own ideas of what a chunk holds.

Its blocking calls: it keeps its connections for whatever event loop comes next, and each of our tests has its own.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.conftest import Stack

langchain_openai = pytest.importorskip("langchain_openai", reason="langchain-openai is not installed")

Chat = Callable[..., Any]


@pytest.fixture
def chat(stack: Stack) -> Chat:
    def chat(model: str, **options: Any) -> Any:
        url = f"{stack.gateway}/v1"
        return langchain_openai.ChatOpenAI(model=model, base_url=url, api_key="any", max_retries=0, **options)

    return chat


def test_a_whole_answer_with_its_usage(chat: Chat) -> None:
    answer = chat("demo-fast").invoke("Tell me about rivers")
    assert len(answer.content) > 100
    assert answer.usage_metadata["output_tokens"] > 0
    assert answer.response_metadata["finish_reason"] == "stop"


def test_a_stream_adds_up_to_an_answer_with_usage(chat: Chat) -> None:
    whole = None
    for chunk in chat("demo-fast", stream_usage=True).stream("Tell me about rivers"):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert len(whole.content) > 100
    assert whole.usage_metadata["total_tokens"] > 0


def test_tools_are_bound_and_called(chat: Chat) -> None:
    def look_up(city: str) -> str:
        """Looks a city up."""
        return city

    for chunk in (bound := chat("demo-tools").bind_tools([look_up])).stream("Rome?"):
        assert chunk.tool_call_chunks or not chunk.content
    answer = bound.invoke("Rome?")
    assert {call["name"] for call in answer.tool_calls} == {"look_up"}


def test_a_refusal_is_the_sdks_own_error(chat: Chat) -> None:
    import openai

    with pytest.raises(openai.AuthenticationError):
        chat("fault-401").invoke("Hi")
