"""The model that calls tools: two calls at once, with arguments in fragments. No I/O."""

import json
import random
import secrets
from collections.abc import Iterator
from typing import Any

from simulator.chat_request import ChatRequest
from simulator.demos import play_pieces
from simulator.pieces import split
from simulator.script import Delta, Script, finish
from simulator.topic import Topic, read_topic

LONGEST_RESULT = 400
MOST_PROPERTIES = 8


def play_tools(request: ChatRequest) -> Script:
    """Calls two tools. If the request already contains results, it answers with them, so that a tool loop ends."""
    if request.tool_results:
        return play_pieces(request, split(sum_up(request.tool_results)))
    return play_calls(choose_calls(request), random.Random(request.knobs.seed))  # noqa: S311 - not a secret


def play_calls(calls: list[tuple[str, dict[str, Any]]], chance: random.Random) -> Script:
    opening: dict[str, Any] = {"role": "assistant", "content": None}
    for index, (name, arguments) in enumerate(calls):
        function = {"name": name, "arguments": ""}
        call = {
            "index": index,
            "id": f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": function,
        }
        yield Delta({**opening, "tool_calls": [call]})
        opening = {}
        for fragment in cut(json.dumps(arguments, ensure_ascii=False), chance):
            yield Delta({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]})
    yield finish("tool_calls")


def cut(text: str, chance: random.Random) -> Iterator[str]:
    """Yields fragments of one to five characters, so that a client that parses single fragments fails."""
    start = 0
    while start < len(text):
        end = start + chance.randint(1, 5)
        yield text[start:end]
        start = end


def choose_calls(request: ChatRequest) -> list[tuple[str, dict[str, Any]]]:
    """Chooses two calls of the request's tools, or of two prepared tools if it has none."""
    topic = read_topic(request.prompt)
    functions = [tool["function"] for tool in request.tools if isinstance(tool.get("function"), dict)]
    named = [function for function in functions if isinstance(function.get("name"), str)]
    if not named:
        city = topic.words[0].title()
        return [("get_weather", {"city": city, "unit": "celsius"}), ("get_time", {"city": city, "hours": 24})]
    first, second = named[0], named[1 % len(named)]
    return [
        (first["name"], arguments_for(first, topic, 0)),
        (second["name"], arguments_for(second, topic, 1)),
    ]


def arguments_for(function: dict[str, Any], topic: Topic, turn: int) -> dict[str, Any]:
    parameters = function.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    if not isinstance(properties, dict):
        return {}
    word = topic.words[turn]
    return {name: example(properties[name], word) for name in list(properties)[:MOST_PROPERTIES]}


def example(schema: Any, word: str) -> Any:
    """A value of the schema's type, or a word if it has none."""
    if not isinstance(schema, dict):
        return word
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    kind = schema.get("type")
    examples = {"integer": 3, "number": 2.5, "boolean": True, "array": [], "object": {}, "null": None}
    return examples.get(kind, word) if isinstance(kind, str) else word


def sum_up(results: tuple[str, ...]) -> str:
    lines = [" ".join(result.encode("utf-8", "replace").decode().split())[:LONGEST_RESULT] for result in results]
    listed = "\n".join(f"- `{line.replace('`', chr(39))}`" for line in lines)
    return (
        f"## What the tools said\n\n{listed}\n\nA real model would now draw its conclusions; the simulator "
        "only shows that the results arrived.\n"
    )
