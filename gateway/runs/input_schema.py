"""Checks an answer of a person against what the question wants. Pure: no I/O.

It knows the parts of JSON Schema that describe values of forms and of Pydantic models. What else a schema demands, the
script checks itself, and asks again.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

from pydantic import StringConstraints, TypeAdapter, ValidationError

from contract.printable import shorten

Schema = Mapping[str, Any]
DEPTH_LIMIT = 32
CHECKS_LIMIT = 20_000
"""How often a value or a part of it is compared with a schema: some tenths of a second. Alternatives that contain each
other, such as a union of models, double the work with each level of the value."""
MESSAGE_LIMIT_CHARS = 500
PATTERNS_KEPT = 128
_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: not isinstance(value, bool) and (isinstance(value, int) or _is_whole(value)),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}
_BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "minimum": (lambda value, bound: value >= bound, "must be at least {}"),
    "maximum": (lambda value, bound: value <= bound, "must be at most {}"),
    "exclusiveMinimum": (lambda value, bound: value > bound, "must be more than {}"),
    "exclusiveMaximum": (lambda value, bound: value < bound, "must be less than {}"),
}
_SIZES: dict[str, tuple[type, Callable[[int, int], bool], str]] = {
    "minLength": (str, lambda size, bound: size >= bound, "must have at least {} characters"),
    "maxLength": (str, lambda size, bound: size <= bound, "must have at most {} characters"),
    "minItems": (list, lambda size, bound: size >= bound, "must have at least {} items"),
    "maxItems": (list, lambda size, bound: size <= bound, "must have at most {} items"),
}


def find_problem(question: Mapping[str, Any], value: Any) -> str:
    """Why `value` does not answer a question (the data of its `input` event), in words; "" if it does."""
    choices, schema = question.get("choices"), question.get("schema")
    if choices is not None:
        problem = "" if _is_among(value, choices) else f"'value' must be one of: {', '.join(map(str, choices))}"
    elif schema is None:
        problem = "" if isinstance(value, str) else "'value' must be a text"
    else:
        try:
            problem = _Check(schema).find("value", schema, value, 0)
        except (TypeError, AttributeError):
            # The author's schema is invalid, for example a bound is not a number. Only the script can check the answer.
            problem = ""
        except _TooComplexError:
            problem = "'value' is too complex to be checked"
    return f"{shorten(problem, MESSAGE_LIMIT_CHARS)}." if problem else ""


class _TooComplexError(Exception):
    """CHECKS_LIMIT is reached."""


class _Check:
    """One check. `root` resolves references."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._checks = 0

    def find(self, place: str, schema: Any, value: Any, depth: int) -> str:
        """Raises: _TooComplexError."""
        self._checks += 1
        if self._checks > CHECKS_LIMIT:
            raise _TooComplexError
        if depth > DEPTH_LIMIT:
            return f"'{place}' is nested too deeply"
        if not isinstance(schema, Mapping):
            return f"'{place}' is not allowed" if schema is False else ""
        if "$ref" in schema:
            return self.find(place, self._resolve(str(schema["$ref"])), value, depth + 1)
        return (
            _check_kind(place, schema, value)
            or _check_bounds(place, schema, value)
            or self._check_alternatives(place, schema, value, depth)
            or self._check_fields(place, schema, value, depth)
            or self._check_items(place, schema, value, depth)
        )

    def _resolve(self, reference: str) -> Any:
        found: Any = self._root
        for name in reference.removeprefix("#").split("/")[1:]:
            found = found.get(name, {}) if isinstance(found, Mapping) else {}
        return found

    def _check_alternatives(self, place: str, schema: Schema, value: Any, depth: int) -> str:
        for one in schema.get("allOf", ()):
            if problem := self.find(place, one, value, depth + 1):
                return problem
        for name in ("anyOf", "oneOf"):
            problems = [self.find(place, one, value, depth + 1) for one in schema.get(name, ())]
            if problems and all(problems):
                return problems[0]
        return ""

    def _check_fields(self, place: str, schema: Schema, value: Any, depth: int) -> str:
        if not isinstance(value, dict):
            return ""
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name in schema.get("required", ()):
            if name not in value:
                return f"'{place}.{name}' is missing"
        for name, one in value.items():
            if problem := self.find(f"{place}.{name}", known.get(name, others), one, depth + 1):
                return problem
        return ""

    def _check_items(self, place: str, schema: Schema, value: Any, depth: int) -> str:
        for number, one in enumerate(value if isinstance(value, list) else ()):
            if problem := self.find(f"{place}[{number}]", schema.get("items", True), one, depth + 1):
                return problem
        return ""


def _check_kind(place: str, schema: Schema, value: Any) -> str:
    wanted = schema.get("type")
    kinds = wanted if isinstance(wanted, list) else [] if wanted is None else [wanted]
    if kinds and not any(kind not in _TYPES or _TYPES[kind](value) for kind in kinds):
        return f"'{place}' must be of the type {' or '.join(map(str, kinds))}"
    if "enum" in schema and not _is_among(value, schema["enum"]):
        return f"'{place}' must be one of: {', '.join(map(str, schema['enum']))}"
    if "const" in schema and not _is_same(value, schema["const"]):
        return f"'{place}' must be {schema['const']}"
    return ""


def _check_bounds(place: str, schema: Schema, value: Any) -> str:
    for name, (fits, words) in _BOUNDS.items():
        if name in schema and _TYPES["number"](value) and not fits(value, schema[name]):
            return f"'{place}' {words.format(schema[name])}"
    size = len(value) if isinstance(value, str | list) else 0
    for name, (kind, has_size, words) in _SIZES.items():
        if name in schema and isinstance(value, kind) and not has_size(size, schema[name]):
            return f"'{place}' {words.format(schema[name])}"
    if "pattern" in schema and isinstance(value, str) and not _has_form(value, _read_pattern(schema["pattern"])):
        return f"'{place}' does not have the form {schema['pattern']}"
    return ""


@lru_cache(maxsize=PATTERNS_KEPT)
def _read_pattern(pattern: str) -> TypeAdapter[str] | None:
    """The pattern for Pydantic's engine, which accepts what Pydantic's users write and takes linear time. With Python's
    engine, one text that nearly fits could block the gateway for ever. None if the engine cannot read the pattern: then
    every text passes."""
    try:
        return TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
    except Exception:
        # Pydantic does not export the class of the engine's error.
        return None


def _has_form(value: str, pattern: TypeAdapter[str] | None) -> bool:
    try:
        return pattern is None or bool(pattern.validate_python(value) == value)
    except ValidationError:
        return False


def _is_among(value: Any, allowed: Sequence[Any]) -> bool:
    if isinstance(value, str):
        # Python's own search is many times as fast: a list of texts may be compared with a long `enum`.
        return value in allowed
    return any(_is_same(value, one) for one in allowed)


def _is_same(one: Any, other: Any) -> bool:
    """As JSON: for Python, `true` is 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(value, other[name]) for name, value in one.items())
    return bool(one == other)


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()
