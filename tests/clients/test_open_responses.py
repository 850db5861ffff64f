"""The cases of the public Open Responses specification (openresponses.org), as its compliance test poses them.

Every object and event is checked against the models of the specification and of OpenAI's SDK (`tests.responses`).
"""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.clients.conftest import Stack
from tests.responses import Event, check_response, fold_events, read_events

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}},
        "required": ["location"],
    },
}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)


def said(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"{stack.gateway}/v1", timeout=60) as http:
        yield http


async def ask(http: httpx2.AsyncClient, *turns: dict[str, Any], **fields: Any) -> Event:
    answer = await http.post("/responses", json={"model": "demo", "input": turns, "stream": False, **fields})
    response: Event = answer.raise_for_status().json()
    check_response(response)
    assert response["status"] == "completed"
    assert response["completed_at"] >= response["created_at"]
    assert response["output"]
    return response


async def ask_streamed(http: httpx2.AsyncClient, *turns: dict[str, Any], **fields: Any) -> list[Event]:
    answer = await http.post("/responses", json={"model": "demo", "input": turns, "stream": True, **fields})
    assert answer.raise_for_status().headers["content-type"].startswith("text/event-stream")
    events = read_events(answer.content)
    assert fold_events(events)["status"] == "completed"
    return events


def text_of(response: Event) -> str:
    return "".join(part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"])


async def test_basic_text_response(http: httpx2.AsyncClient) -> None:
    assert text_of(await ask(http, said("user", "Say hello in exactly 3 words.")))


async def test_streaming_response(http: httpx2.AsyncClient) -> None:
    events = await ask_streamed(http, said("user", "Count from 1 to 5."))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    deltas = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert deltas == text_of(events[-1]["response"])


async def test_system_prompt(http: httpx2.AsyncClient, stack: Stack) -> None:
    pirate = said("system", "You are a pirate. Always respond in pirate speak.")
    assert text_of(await ask(http, pirate, said("user", "Say hello.")))


async def test_tool_calling(http: httpx2.AsyncClient) -> None:
    question = said("user", "What's the weather like in San Francisco?")
    response = await ask(http, question, tools=[WEATHER])
    assert "function_call" in [item["type"] for item in response["output"]]


async def test_tool_calling_streamed(http: httpx2.AsyncClient) -> None:
    question = said("user", "What's the weather like in San Francisco?")
    events = await ask_streamed(http, question, tools=[WEATHER])
    kinds = [event["type"] for event in events]
    assert "response.function_call_arguments.delta" in kinds
    assert "response.function_call_arguments.done" in kinds
    for kind in ("response.output_item.added", "response.output_item.done"):
        assert "function_call" in [event["item"]["type"] for event in events if event["type"] == kind]


async def test_image_input(http: httpx2.AsyncClient) -> None:
    question = {"type": "input_text", "text": "What do you see in this image? Answer in one sentence."}
    content = [question, {"type": "input_image", "image_url": PIXEL}]
    assert text_of(await ask(http, said("user", content)))


async def test_multi_turn_conversation(http: httpx2.AsyncClient) -> None:
    turns = [
        said("user", "My name is Alice."),
        said("assistant", "Hello Alice! Nice to meet you. How can I help you today?"),
        said("user", "What is my name?"),
    ]
    assert text_of(await ask(http, *turns))
    assert text_of(await ask(http, *turns, model="demo-reasoning", instructions="Be brief."))


@pytest.mark.parametrize(
    "fields",
    [
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}},
        {"tools": [{"type": "function", "name": "f"}], "tool_choice": "none", "parallel_tool_calls": False},
        {"temperature": 0, "top_p": 0.5, "presence_penalty": 1, "frequency_penalty": 1, "metadata": {"a": "b"}},
        {"reasoning": {"effort": "low"}, "service_tier": "auto", "store": False, "max_output_tokens": 10_000},
    ],
    ids=["format", "tools", "sampling", "rest"],
)
async def test_the_response_repeats_its_request(http: httpx2.AsyncClient, fields: dict[str, Any]) -> None:
    response = await ask(http, said("user", "Tell me about rivers"), **fields)
    for name, value in fields.items():
        given = response[name]
        assert given == value or (isinstance(value, dict | list) and name in ("text", "tools", "reasoning"))
