"""Plays tool calls, with arguments in fragments. No I/O."""

import json
import random
import secrets
from collections.abc import Iterator
from typing import Any

from simulator.chat_request import ChatRequest
from simulator.errors import ApiError, Refused
from simulator.schema import fit
from simulator.script import Delta, Script, finish
from simulator.toolbox import Function
from simulator.topic import read_topic
from simulator.values import Unfit


def play_functions(request: ChatRequest, functions: list[Function]) -> Script:
    """Calls these functions with arguments that fit their schemas.

    Raises: Refused 400 for a schema that nothing fits.
    """
    words = read_topic(request.prompt).words
    calls = [(function.name, arguments_for(function, words, turn)) for turn, function in enumerate(functions)]
    # As OpenAI's: the request chose the function, so the model did not stop in order to call it.
    return play_calls(request, calls, "stop" if request.toolbox.mode == "named" else "tool_calls")


def play_calls(request: ChatRequest, calls: list[tuple[str, Any]], reason: str = "tool_calls") -> Script:
    chance = random.Random(request.knobs.seed)  # noqa: S311 - not a secret
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
    yield finish(reason)


def arguments_for(function: Function, words: tuple[str, ...], turn: int) -> Any:
    if not isinstance(function.parameters, dict):
        return {}
    try:
        return fit({"type": "object", **function.parameters}, words, turn)
    except Unfit as reason:
        text = f"Invalid schema for function '{function.name}': {reason}."
        raise Refused(ApiError(400, text, param="tools", code="invalid_function_parameters")) from None


def cut(text: str, chance: random.Random) -> Iterator[str]:
    """Yields fragments of one to five characters, so that a client that parses single fragments fails."""
    start = 0
    while start < len(text):
        end = start + chance.randint(1, 5)
        yield text[start:end]
        start = end
