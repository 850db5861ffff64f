"""Base classes for request and response bodies, and OpenAI's error for a body that does not fit its model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    SkipValidation,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.fields import FieldInfo

from gateway.http.errors import ApiError

PARAM_LIMIT_CHARS = 64

StoredObject = Annotated[dict[str, Any] | None, SkipValidation]
StoredText = Annotated[str | None, SkipValidation]
"""Fields copied from a run's log. Their types are documented but not checked: a provider may have sent anything."""


class RequestBody(BaseModel):
    """The body of a request. A model accepts fields that it does not name unless it sets `extra="forbid"`."""

    model_config = ConfigDict(strict=True)


class ResponseBody(BaseModel):
    """The body of a response. Its JSON omits fields that were not set."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Rule:
    """Annotates a field with its rule in words, which the 400 error `invalid_value` quotes."""

    text: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return WrapValidator(self._check).__get_pydantic_core_schema__(source, handler)

    def _check(self, value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        try:
            return check(value)
        except ValidationError:
            raise ValueError(self.text) from None


_Body = TypeVar("_Body", bound=RequestBody)


def check_body(model: type[_Body], fields: Mapping[str, Any]) -> _Body:
    """Returns a valid `model` of `fields`, which is parsed JSON. Raises: ApiError 400 that names the invalid field."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = model.model_fields.get(str(first["loc"][0])) if len(first["loc"]) == 1 else None
        raise _to_api_error(first, field) from None


_TYPES = {
    "string_type": "a string",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
}


def _to_api_error(error: Mapping[str, Any], field: FieldInfo | None) -> ApiError:
    """`field` is the invalid field if it is a top-level one, else None."""
    param, kind = _path(error["loc"]), error["type"]
    if field is not None and field.is_required() and error["input"] is None:
        kind = "missing"
    rule = next((each for each in field.metadata if isinstance(each, Rule)), None) if field is not None else None
    match kind:
        case "missing" if rule is not None:
            code, text = "invalid_value", f"'{param}' {rule.text}."
        case "missing" if field is not None:
            code, text = "missing_required_parameter", f"Missing required parameter: '{param}'."
        case "missing":
            code, text = "invalid_type", f"'{param}' is required."
        case "extra_forbidden":
            code, text = "unknown_parameter", f"Unknown parameter: '{param}'."
        case "string_unicode":
            code, text = "unknown_parameter", f"'{param}' has a field whose name is not valid Unicode."
        case "too_short":
            code, text = "empty_array", f"'{param}' must not be empty."
        case "literal_error":
            code, text = "invalid_value", f"'{param}' must be {error['ctx']['expected']}."
        case "value_error":
            code, text = "invalid_value", f"'{param}' {error['ctx']['error']}."
        case _ if kind in _TYPES:
            code, text = "invalid_type", f"'{param}' must be {_TYPES[kind]}."
        case _:
            code, text = "invalid_value", f"'{param}' {error['msg']}."
    return ApiError(400, code, text, param=param or None)


def _path(location: Sequence[int | str]) -> str:
    """The path of a field in OpenAI's notation: `messages[0].role`."""
    path = "".join(f"[{name}]" if isinstance(name, int) else f".{name[:PARAM_LIMIT_CHARS]}" for name in location)
    return path.removeprefix(".")
