"""The tools of a request, and which of them a model calls. No I/O."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulator.errors import ApiError, Refused, wrong_type, wrong_value
from simulator.topic import SAYS_NOTHING

WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+")
SHORTEST_WORD = 4


@dataclass(frozen=True, slots=True)
class Function:
    """`parameters` is a JSON schema, or None if the function takes nothing."""

    name: str
    parameters: Any

    def is_asked_for(self, prompt: str) -> bool:
        """Whether the prompt contains the name, or a telling word of it, such as "weather" of `get_weather`."""
        words = {word.lower() for word in WORD.findall(self.name)} - SAYS_NOTHING
        telling = [re.escape(word) for word in words if len(word) >= SHORTEST_WORD]
        names = "|".join([re.escape(self.name), *telling])
        return re.search(rf"(?<!\w)({names})(?!\w)", prompt, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The functions that a request admits. `mode` is `none`, `auto`, `required`, or `named` for one certain function.

    `called` are the functions that the model has called since the last user message.
    """

    functions: tuple[Function, ...]
    mode: str
    parallel: bool
    called: frozenset[str]

    def choose(self, prompt: str) -> list[Function]:
        """Returns the functions to call now; none for an answer in words.

        `auto`: those that the last user message asks for, each once. `required`: the same, or else the first that was
        not called yet, or else the last, which often is the one that ends the work. So the loop of an agent ends.
        """
        if self.mode in ("none", "named"):
            return list(self.functions) if self.mode == "named" else []
        new = [function for function in self.functions if function.name not in self.called]
        chosen = [function for function in new if function.is_asked_for(prompt)]
        if not chosen and self.mode == "required":
            chosen = new[:1] or list(self.functions[-1:])
        return chosen if self.parallel else chosen[:1]


def read_toolbox(fields: dict[str, Any], called: frozenset[str]) -> Toolbox:
    """Raises: Refused 400, naming the faulty parameter."""
    tools = fields.get("tools")
    if tools is not None and (not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools)):
        raise wrong_type("tools", "an array of objects")
    functions = tuple(read_functions(tools or []))
    mode, names = read_choice(fields.get("tool_choice"))
    if mode in ("required", "named") and not tools:
        text = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        raise Refused(ApiError(400, text, param="tool_choice"))
    if names is not None:
        unknown = [name for name in names if name not in {function.name for function in functions}]
        if unknown:
            raise wrong_value("tool_choice", f"names of functions in 'tools', which lack '{unknown[0]}'")
        functions = tuple(function for function in functions if function.name in names)
    parallel = fields.get("parallel_tool_calls")
    if not isinstance(parallel, bool | None):
        raise wrong_type("parallel_tool_calls", "a boolean")
    return Toolbox(functions, mode, parallel is not False, called)


def read_functions(tools: list[dict[str, Any]]) -> Iterator[Function]:
    for tool in tools:
        function = tool.get("function")
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield Function(function["name"], function.get("parameters"))


def read_choice(choice: Any) -> tuple[str, list[str] | None]:
    """The mode, and the names of the only functions that may be called, or None for all."""
    match choice:
        case None:
            return "auto", None
        case "none" | "auto" | "required":
            return choice, None
        case {"type": "function", "function": {"name": str(name)}}:
            return "named", [name]
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list(tools)}}:
            return mode, [function.name for function in read_functions(tools)]
    raise wrong_value("tool_choice", "'none', 'auto', 'required', or an object that names a function of 'tools'")
