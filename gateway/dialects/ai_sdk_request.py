"""Translates the body that a page sends into a chat-completions request. No I/O.

Sources: npm `ai`, `HttpChatTransport`; npm `@assistant-ui/react-ai-sdk`, `AssistantChatTransport`, which adds `tools`
by name, `system`, `callSettings`, `config` and `metadata`.
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.ai_sdk_messages import to_messages

# The provider gets none of these fields as they are. `metadata` is the page's own; `config` may contain a key.
PAGE_FIELDS = frozenset(
    {"id", "messages", "trigger", "messageId", "tools", "system", "callSettings", "config", "metadata"}
)
CALL_SETTINGS = {
    "temperature": "temperature",
    "topP": "top_p",
    "maxTokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "seed": "seed",
    "stopSequences": "stop",
}
CONFIG = {"modelName": "model", "reasoningEffort": "reasoning_effort"}


def to_chat_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a chat-completions request. `body` is a valid `UiChatRequest` with unchecked messages.

    Raises: ApiError 400 that names the invalid field.
    """
    system = body.get("system")
    messages = [{"role": "system", "content": system}] if system else []
    request = {
        **_rename(body.get("callSettings") or {}, CALL_SETTINGS),
        **_rename(body.get("config") or {}, CONFIG),
        # Fields that the page sends under OpenAI's names win.
        **{name: value for name, value in body.items() if name not in PAGE_FIELDS},
        "messages": messages + to_messages(body.get("messages")),
        "stream": True,
    }
    if tools := body.get("tools"):
        request["tools"] = [_to_tool(*tool) for tool in tools.items()] if isinstance(tools, dict) else tools
    return request


def _rename(settings: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names[name]: value for name, value in settings.items() if name in names and value is not None}


def _to_tool(name: str, tool: Mapping[str, Any]) -> dict[str, Any]:
    fields = {field: tool[field] for field in ("description", "parameters") if tool.get(field) is not None}
    return {"type": "function", "function": {"name": name, **fields}}
