"""JSON schemas of types and functions, and values checked against them. The only module here that imports pydantic."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError, create_model

from manycast.script.errors import ToolError
from manycast.script.threads import run_in_thread

T = TypeVar("T")


class InvalidValueError(ValueError):
    """A model's text does not fit its schema. The text says where."""


class Tool:
    """A typed function that a model may call. Its name, docstring and annotations are what the model knows of it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises: TypeError for a function whose arguments cannot be described."""
        self.name = function.__name__
        self._function = function
        parameters = inspect.signature(function).parameters
        if any(one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY) for one in parameters.values()):
            raise TypeError(f"the tool {self.name} must take its arguments by name, not as *args or **kwargs")
        try:
            hints = get_type_hints(function, include_extras=True)
            fields: dict[str, Any] = {
                name: (hints.get(name, Any), ... if one.default is one.empty else one.default)
                for name, one in parameters.items()
            }
            self._arguments = create_model(self.name, **fields)
            schema = self._arguments.model_json_schema()
        except Exception as error:
            raise TypeError(f"the arguments of the tool {self.name} cannot be described: {error}") from error
        schema.pop("title", None)
        described = {"name": self.name, "description": inspect.getdoc(function) or "", "parameters": schema}
        self.definition: dict[str, Any] = {"type": "function", "function": described}

    async def call(self, arguments: str) -> str:
        """`arguments`: JSON. A function that is not async runs in a thread of its own.

        Raises: ToolError if they do not fit, or the function raises it; whatever else the function raises.
        """
        try:
            checked = self._arguments.model_validate_json(arguments)
        except ValidationError as error:
            raise ToolError(f"The arguments do not fit: {_in_words(error)}") from error
        given = {name: getattr(checked, name) for name in type(checked).model_fields}
        if inspect.iscoroutinefunction(self._function):
            result = await self._function(**given)
        else:
            result = await run_in_thread(self._function, **given)
        return result if isinstance(result, str) else TypeAdapter(Any).dump_json(result).decode()


def response_format(kind: type[Any]) -> dict[str, Any]:
    """OpenAI's `response_format` for a Pydantic model, or any type that Pydantic knows as an object."""
    schema = TypeAdapter(kind).json_schema()
    is_strict = _close(schema)
    return {"type": "json_schema", "json_schema": {"name": kind.__name__, "schema": schema, "strict": is_strict}}


def parse(kind: type[T], text: str) -> T:
    """Raises: InvalidValueError."""
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise InvalidValueError(_in_words(error)) from error


def json_schema(wanted: Any) -> dict[str, Any] | None:
    """The JSON schema of a type; a schema as it is; None for None."""
    return wanted if wanted is None or isinstance(wanted, dict) else TypeAdapter(wanted).json_schema()


def read_input(wanted: Any, value: Any) -> Any:
    """What a person has given, as the type that the script wants. Raises: InvalidValueError."""
    if wanted is None or isinstance(wanted, dict):
        return value
    try:
        return TypeAdapter(wanted).validate_python(value)
    except ValidationError as error:
        raise InvalidValueError(_in_words(error)) from error


def _close(schema: Any) -> bool:
    """Requires every property and forbids others, as OpenAI's strict mode wants. False if that cannot be."""
    if isinstance(schema, list):
        return min([_close(one) for one in schema], default=True)
    if not isinstance(schema, dict):
        return True
    is_strict = True
    if schema.get("type") == "object":
        if "properties" not in schema or schema.get("additionalProperties"):
            return False
        schema["additionalProperties"] = False
        schema["required"] = list(schema["properties"])
        for one in schema["properties"].values():
            one.pop("default", None)
    for value in schema.values():
        is_strict = _close(value) and is_strict
    return is_strict


def _in_words(error: ValidationError) -> str:
    found = (f"{'.'.join(map(str, one['loc'])) or 'value'}: {one['msg']}" for one in error.errors()[:5])
    return "; ".join(found)
