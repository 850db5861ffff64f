"""Translates a request of the Responses API into a chat-completions request. No I/O.

What a provider of chat completions cannot serve is an error that names the field. Fields that are not named here go to
the provider unchanged.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.dialects.responses_items import Item, invalid, to_messages

Fields = Mapping[str, Any]

UNSUPPORTED = ("conversation", "prompt", "context_management", "moderation", "multi_agent")
# Ours, or without a meaning for a provider of chat completions. `max_tool_calls` limits built-in tools only.
NOT_PASSED = frozenset(
    {
        "input",
        "instructions",
        "previous_response_id",
        "background",
        "background_options",
        "store",
        "stream",
        "stream_options",
        "include",
        "metadata",
        "truncation",
        "max_tool_calls",
        "max_output_tokens",
        "text",
        "reasoning",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "top_logprobs",
        *UNSUPPORTED,
    }
)
LOGPROBS = "message.output_text.logprobs"
_FUNCTION_FIELDS = ("name", "description", "parameters", "strict")
_FORMAT_FIELDS = ("name", "description", "schema", "strict")
_OUR_REASONING = frozenset({"effort", "summary", "generate_summary", "context"})


def to_chat_request(body: Fields, items: Iterable[tuple[str, Item]]) -> dict[str, Any]:
    """The fields of a chat-completions request. `items` are the whole context, each with the name of its field.

    Raises: ApiError 400 that names the invalid field.
    """
    for name in UNSUPPORTED:
        if body.get(name) is not None:
            raise invalid(name, "is not supported here")
    if body.get("truncation") not in (None, "disabled"):
        raise invalid("truncation", "must be 'disabled' here")
    instructions = body.get("instructions")
    messages = [{"role": "system", "content": instructions}] if instructions else []
    request = {
        "messages": messages + to_messages(items),
        "stream": True,
        **_tools(body),
        **_text(body.get("text") or {}),
        **_reasoning(body.get("reasoning") or {}),
        **_logprobs(body),
    }
    if body.get("max_output_tokens") is not None and body.get("max_completion_tokens") is None:
        # The name that most providers know. A caller whose provider wants the newer name sends that itself.
        request["max_tokens"] = body["max_output_tokens"]
    passed = {name: value for name, value in body.items() if name not in NOT_PASSED and value is not None}
    return {**request, **passed}


def _tools(body: Fields) -> dict[str, Any]:
    tools = [_to_tool(tool, f"tools[{index}]") for index, tool in enumerate(body.get("tools") or [])]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        choice, tools = _choose(choice, tools)
    elif choice not in (None, "auto", "none", "required"):
        raise invalid("tool_choice", "must be none, auto, required, or an object")
    if not tools:
        # Providers refuse the other two without tools.
        return {}
    parallel = body.get("parallel_tool_calls")
    return {
        "tools": tools,
        **({"tool_choice": choice} if choice is not None else {}),
        **({"parallel_tool_calls": parallel} if parallel is not None else {}),
    }


def _to_tool(tool: object, where: str) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise invalid(where, "must be an object")
    if tool.get("type") != "function":
        raise invalid(f"{where}.type", "must be 'function': built-in tools are not supported here")
    if not isinstance(tool.get("name"), str):
        raise invalid(f"{where}.name", "must be a string")
    return {"type": "function", "function": _pick(tool, _FUNCTION_FIELDS)}


def _choose(choice: Fields, tools: list[dict[str, Any]]) -> tuple[Any, list[dict[str, Any]]]:
    """The choice, and the tools among which it is made."""
    match choice.get("type"):
        case "function":
            return {"type": "function", "function": {"name": choice.get("name")}}, tools
        case "allowed_tools":
            allowed = [tool.get("name") for tool in choice.get("tools") or [] if isinstance(tool, dict)]
            return choice.get("mode", "auto"), [tool for tool in tools if tool["function"]["name"] in allowed]
    raise invalid("tool_choice.type", "must be function or allowed_tools: built-in tools are not supported here")


def _text(text: Fields) -> dict[str, Any]:
    verbosity = {"verbosity": text["verbosity"]} if text.get("verbosity") is not None else {}
    form = text.get("format") or {"type": "text"}
    match form.get("type") if isinstance(form, dict) else None:
        case "text":
            return verbosity
        case "json_object":
            return {**verbosity, "response_format": {"type": "json_object"}}
        case "json_schema":
            return {**verbosity, "response_format": {"type": "json_schema", "json_schema": _pick(form, _FORMAT_FIELDS)}}
    raise invalid("text.format.type", "must be text, json_object or json_schema")


def _reasoning(reasoning: Fields) -> dict[str, Any]:
    effort = {"reasoning_effort": reasoning["effort"]} if reasoning.get("effort") is not None else {}
    # OpenRouter has an object of this name too, with fields of its own.
    vendors = {name: value for name, value in reasoning.items() if name not in _OUR_REASONING}
    return {"reasoning": {**vendors, **_pick(reasoning, ("effort",))}} if vendors else effort


def _logprobs(body: Fields) -> dict[str, Any]:
    top = body.get("top_logprobs")
    if top:
        return {"logprobs": True, "top_logprobs": top}
    return {"logprobs": True} if LOGPROBS in (body.get("include") or []) else {}


def _pick(fields: Fields, names: Iterable[str]) -> dict[str, Any]:
    return {name: fields[name] for name in names if fields.get(name) is not None}
