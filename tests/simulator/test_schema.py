"""The values that the simulator makes for JSON schemas, judged by a JSON schema library."""

from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema_rs
import pytest
from pydantic import BaseModel, Field

from simulator.schema import fit
from simulator.values import FORMATS, Unfit

WORDS = ("river", "water", "stone", "bridge")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(BaseModel):
    kind: Literal["leaf"]
    size: Annotated[int, Field(gt=10, le=12)]


class Branch(BaseModel):
    kind: Literal["branch"]
    children: list["Tree"]


class Tree(BaseModel):
    node: Leaf | Branch
    next: "Tree | None"
    twin: "Tree | None" = Field(default=None, description="a reference with a sibling")


class Person(BaseModel):
    name: Annotated[str, Field(min_length=20, max_length=25)]
    age: Annotated[int, Field(ge=18, lt=20)]
    weight: Annotated[float, Field(gt=0, lt=0.001)]
    colours: Annotated[set[Colour], Field(min_length=1)]
    place: tuple[float, float]
    scores: dict[str, int]
    friend: "Person | None"
    price: Decimal
    tags: Annotated[list[str], Field(min_length=5, max_length=6)]


SCHEMAS: list[Any] = [
    Person.model_json_schema(),
    Tree.model_json_schema(),
    *({"type": "string", "format": form} for form in FORMATS if form not in ("byte", "duration")),
    *({"type": kind} for kind in ("object", "array", "string", "integer", "number", "boolean", "null")),
    *({"type": ["null", kind]} for kind in ("object", "array", "string", "integer", "number", "boolean")),
    True,
    {},
    {"const": None},
    {"enum": [7, "seven"]},
    {"type": "string", "minLength": 300},
    {"type": "string", "maxLength": 2},
    {"type": "string", "maxLength": 0},
    {"type": "string", "pattern": "^[A-Z]{2}-[0-9]+$", "minLength": 8},
    {"type": "integer", "minimum": 3.5},
    {"type": "integer", "exclusiveMaximum": -7},
    {"type": "integer", "multipleOf": 40, "minimum": 90},
    {"type": "integer", "minimum": 1_000, "maximum": 1_000},
    {"type": "number", "multipleOf": 0.01, "maximum": 1},
    {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1.5},
    {"minimum": 9},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 7},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 1},
    {"type": "array", "items": {"type": "string"}, "minItems": 9, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["a"]}, "uniqueItems": True},
    {"type": "array", "items": {"type": "integer", "maximum": 4, "minimum": 1}, "minItems": 4, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 2},
    {"type": "object", "required": ["unknown"], "additionalProperties": {"type": "integer"}},
    {"type": "object", "additionalProperties": {"type": "number"}, "minProperties": 6},
    {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
    {"anyOf": [{"type": "null"}, {"type": "integer"}], "description": "nullable"},
    {"oneOf": [{"type": "integer"}, {"type": "null"}]},
    {"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    {
        "allOf": [
            {"$ref": "#/definitions/a"},
            {"properties": {"x": {"maximum": 1}, "y": {"type": "string"}}, "required": ["y"]},
        ],
        "definitions": {"a": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}},
    },
    {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "boolean"}}},
    {"type": "object", "properties": {"me": {"$ref": "#"}, "n": {"type": "integer"}}, "required": ["n"]},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
@pytest.mark.parametrize("turn", range(3))
def test_the_value_fits_the_schema(schema: Any, turn: int) -> None:
    jsonschema_rs.validate(schema, fit(schema, WORDS, turn), validate_formats=True)


def test_what_is_not_required_is_there_too() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"items": {"type": "string"}}}}
    assert fit(schema, WORDS) == {"a": "river", "b": ["river", "water"]}


def test_a_schema_that_contains_itself_ends_after_one_level() -> None:
    class Folder(BaseModel):
        name: str
        folders: list["Folder"]

    leaves = [{"name": "river", "folders": []}, {"name": "water", "folders": []}]
    assert fit(Folder.model_json_schema(), WORDS) == {"name": "river", "folders": leaves}


EIGHTFOLD = {
    f"level{level}": {
        "type": "array",
        "minItems": 8,
        "items": {"$ref": f"#/$defs/level{level + 1}"} if level < 9 else {"type": "string"},
    }
    for level in range(10)
}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "#/$defs/nobody"}, "which it does not contain"),
        ({"$ref": "https://example.com/schema"}, "which it does not contain"),
        ({"$ref": "#"}, "no end"),
        ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, "no end"),
        ({"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]}, "no end"),
        ({"$ref": "#/$defs/level0", "$defs": EIGHTFOLD}, "no end"),
        ({"type": "array", "minItems": 10**9}, "no end"),
        ({"type": "string", "minLength": 10**9}, "characters"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "no number"),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, "no number"),
        ({"type": "object", "properties": ["a"]}, "not a JSON schema"),
        ({"type": "object", "required": [["a"]]}, "not a JSON schema"),
        ({"type": "number", "multipleOf": 1e-320}, "not a JSON schema"),
    ],
    ids=str,
)
def test_a_schema_that_nothing_fits_is_told_apart(schema: Any, reason: str) -> None:
    with pytest.raises(Unfit, match=reason):
        fit(schema, WORDS)
