"""What the provider gets of the body that a page sends."""

from typing import Any

import pytest

from gateway.dialects.ai_sdk_request import to_chat_request

QUESTION = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
ASKED = {"role": "user", "content": "Hi"}
# What the default transport of @assistant-ui/react-ai-sdk 1.4.12 sends with one tool, instructions and settings.
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASSISTANT_UI = {
    "callSettings": {"maxTokens": 100, "temperature": 0, "topP": 0.5, "seed": 7, "headers": {"authorization": "x"}},
    "system": "Be brief.",
    "config": {"apiKey": "sk-1", "baseUrl": "http://elsewhere", "modelName": "demo", "reasoningEffort": "low"},
    "tools": {"weather": {"description": "The weather of a city", "parameters": SCHEMA, "providerOptions": {"a": {}}}},
    "id": "chat",
    "trigger": "submit-message",
    "messageId": "m",
    "metadata": {"custom": {"page": 1}},
}


def translate(**fields: Any) -> dict[str, Any]:
    return to_chat_request({"messages": [QUESTION], **fields})


def test_the_fields_of_assistant_ui_are_translated_or_dropped() -> None:
    assert translate(**ASSISTANT_UI) == {
        "model": "demo",
        "reasoning_effort": "low",
        "max_tokens": 100,
        "temperature": 0,
        "top_p": 0.5,
        "seed": 7,
        "messages": [{"role": "system", "content": "Be brief."}, ASKED],
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "description": "The weather of a city", "parameters": SCHEMA},
            }
        ],
        "stream": True,
    }


@pytest.mark.parametrize("nothing", [None, {}, ""])
def test_empty_fields_of_assistant_ui_leave_nothing(nothing: Any) -> None:
    names = ("callSettings", "system", "config", "tools", "metadata")
    assert translate(**dict.fromkeys(names, nothing)) == {"messages": [ASKED], "stream": True}


def test_fields_in_openais_terms_go_to_the_provider_unchanged() -> None:
    given = {"model": "m", "temperature": 0, "tools": [{"type": "function", "function": {"name": "f"}}], "x_vendor": 1}
    assert translate(**given) == {**given, "messages": [ASKED], "stream": True}


def test_a_field_in_openais_terms_wins() -> None:
    request = translate(model="m", temperature=1, callSettings={"temperature": 0}, config={"modelName": "other"})
    assert (request["model"], request["temperature"]) == ("m", 1)
