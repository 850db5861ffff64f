"""Makes a value that fits a JSON schema. No I/O.

It knows what OpenAI's structured outputs and the usual libraries send: types, `enum`, `const`, references, `anyOf`,
`oneOf`, `allOf`, bounds, lengths, formats and simple patterns. It does not know `not`, `if` and `contains`.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from simulator.values import Unfit, limit, make_number, make_text

USUAL_ITEMS = 2
MOST_VALUES = 10_000
DEEPEST = 100

# Keywords that belong to one type. They tell the type of a schema that does not name it.
TYPES = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
    "multipleOf": "number",
}


def fit(schema: Any, words: tuple[str, ...], turn: int = 0) -> Any:
    """Makes one value. Its texts are `words`; another `turn` gives another value, where the schema allows it.

    Raises: Unfit.
    """
    try:
        return Maker(schema, words).make(schema, turn)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        # A keyword has a value that it cannot have, such as a list of properties.
        raise Unfit("it is not a JSON schema") from None


@dataclass(slots=True)
class Maker:
    """Makes the values of one schema. `_open` are the references that lead to the current value.

    Below a reference to itself, a value is as small as possible: it has only what is required, is null if it may be,
    and is the last of several alternatives. So a tree ends after its first level.
    """

    root: Any
    words: tuple[str, ...]
    _open: list[str] = field(default_factory=list)
    _is_small: bool = False
    _made: int = 0
    _depth: int = 0

    def make(self, schema: Any, turn: int) -> Any:
        self._made += 1
        outer = len(self._open), self._is_small
        self._depth += 1
        if self._made > MOST_VALUES or self._depth > DEEPEST:
            raise Unfit("the values that it requires have no end")
        value = self._make(self._simplify(schema, turn), turn)
        self._depth -= 1
        del self._open[outer[0] :]
        self._is_small = outer[1]
        return value

    def _simplify(self, schema: Any, turn: int) -> Any:
        """The schema without references and alternatives at its top."""
        for _ in range(DEEPEST):
            if not isinstance(schema, dict):
                return schema
            if isinstance(name := schema.get("$ref"), str):
                self._is_small = self._is_small or name in self._open
                self._open.append(name)
                schema = merge(without(schema, "$ref"), self._find(name))
            elif parts := listed(schema, "allOf"):
                schema = without(schema, "allOf")
                for part in parts:
                    schema = merge(schema, self._resolve(part) if len(parts) > 1 else part)
            elif choices := listed(schema, "anyOf") or listed(schema, "oneOf"):
                siblings = without(schema, "anyOf" if listed(schema, "anyOf") else "oneOf")
                schema = merge(siblings, self._choose(choices, turn))
            else:
                return schema
        raise Unfit("its references have no end")

    def _choose(self, choices: list[Any], turn: int) -> Any:
        values = [choice for choice in choices if not is_null(choice)]
        if not values or (self._is_small and len(values) < len(choices)):
            return {"type": "null"}
        return values[-1] if self._is_small else values[turn % len(values)]

    def _make(self, schema: Any, turn: int) -> Any:
        if not isinstance(schema, dict):
            return self._word(turn)
        if "const" in schema:
            return schema["const"]
        if values := listed(schema, "enum"):
            return values[turn % len(values)]
        return self._make_typed(self._type_of(schema), schema, turn)

    def _make_typed(self, kind: Any, schema: dict[str, Any], turn: int) -> Any:
        match kind:
            case "object":
                return self._make_object(schema, turn)
            case "array":
                return self._make_array(schema, turn)
            case "integer" | "number":
                return make_number(schema, kind == "integer", turn)
            case "boolean":
                return turn % 2 == 0
            case "null":
                return None
        return make_text(schema, self._word(turn))

    def _find(self, name: str) -> Any:
        """The part of the schema that a reference such as `#/$defs/City` names."""
        found = self.root
        for step in name.split("/")[1:]:
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                found = found.get(key) if isinstance(found, dict) else None
        if found is None or name.split("/", maxsplit=1)[0] != "#":
            raise Unfit(f"it refers to '{name}', which it does not contain")
        return found

    def _resolve(self, schema: Any) -> Any:
        """The schema itself, instead of a reference to it."""
        for _ in range(DEEPEST):
            if not isinstance(schema, dict) or not isinstance(name := schema.get("$ref"), str):
                return schema
            schema = merge(without(schema, "$ref"), self._find(name))
        raise Unfit("its references have no end")

    def _type_of(self, schema: dict[str, Any]) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            if self._is_small and "null" in kind:
                return "null"
            return next((each for each in kind if each != "null"), "null")
        return kind or next((TYPES[keyword] for keyword in schema if keyword in TYPES), None)

    def _make_object(self, schema: dict[str, Any], turn: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        required = listed(schema, "required")
        names = dict.fromkeys(required if self._is_small else [*properties, *required])
        made = {name: self.make(properties.get(name, extra), turn) for name in names}
        usual = 1 if isinstance(extra, dict) and not properties and not self._is_small else 0
        least = min(limit(schema, "minProperties", usual), MOST_VALUES)
        index = 0
        while len(made) < least:
            made.setdefault(self._word(index), self.make(extra, turn + index))
            index += 1
        return made

    def _make_array(self, schema: dict[str, Any], turn: int) -> list[Any]:
        first, rest = listed(schema, "prefixItems"), schema.get("items")
        usual = USUAL_ITEMS if isinstance(rest, dict) and not first and not self._is_small else len(first)
        least = limit(schema, "minItems", 0)
        length = int(min(max(usual, least), limit(schema, "maxItems", MOST_VALUES)))
        made: list[Any] = []
        for index in range(length):
            value = self.make(first[index] if index < len(first) else rest, turn + index)
            if index < least or not schema.get("uniqueItems") or value not in made:
                made.append(value)
        return made

    def _word(self, turn: int) -> str:
        """The words in turn, and then the words with a number."""
        rounds, index = divmod(turn, len(self.words))
        return f"{self.words[index]} {rounds + 1}" if rounds else self.words[index]


def is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and (schema.get("type") == "null" or schema.get("const", "") is None)


def listed(schema: dict[str, Any], name: str) -> list[Any]:
    value = schema.get(name)
    return value if isinstance(value, list) else []


def without(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != name}


def merge(one: Any, other: Any) -> Any:
    """A schema for the values that fit both. What both say about the same thing, `other` decides, except for limits."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one if isinstance(one, dict) else other
    merged = {**one, **other}
    for name in one.keys() & other.keys():
        mine, theirs = one[name], other[name]
        if name == "properties":
            shared = {key: {"allOf": [mine[key], theirs[key]]} for key in mine.keys() & theirs.keys()}
            merged[name] = {**mine, **theirs, **shared}
        elif name in ("required", "allOf"):
            merged[name] = [*mine, *(each for each in theirs if each not in mine)]
        elif name in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"):
            merged[name] = max(mine, theirs)
        elif name in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"):
            merged[name] = min(mine, theirs)
    return merged
