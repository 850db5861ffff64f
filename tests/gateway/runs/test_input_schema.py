"""Which answers of people fit a question."""

from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from gateway.runs.input_schema import find_problem


class Line(BaseModel):
    article: str = Field(min_length=1, pattern="^[a-z]+$")
    count: int = Field(1, ge=1, lt=100)


class Order(BaseModel):
    lines: list[Line] = Field(min_length=1)
    note: str | None = None


SCHEMA = TypeAdapter(Order).json_schema()
TEA = {"article": "tea", "count": 2}


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ({}, "a text"),
        ({"choices": ["yes", "no"]}, "yes"),
        ({"schema": SCHEMA}, {"lines": [TEA]}),
        ({"schema": SCHEMA}, {"lines": [TEA, {"article": "cake", "count": 1.0}], "note": None}),
        ({"schema": {"type": ["integer", "null"]}}, None),
        ({"schema": {"type": "made up"}}, 1),
        ({"schema": {"allOf": [{"type": "string"}, {"enum": ["a", "b"]}]}}, "b"),
        ({"schema": {"$ref": "#/nowhere"}}, 1),
        ({"schema": {"pattern": r"^\p{L}+$"}}, "Ärger"),
    ],
)
def test_fits(question: dict[str, Any], value: Any) -> None:
    assert find_problem(question, value) == ""


@pytest.mark.parametrize(
    ("question", "value", "problem"),
    [
        ({}, 1, "'value' must be a text."),
        ({"choices": ["yes", "no"]}, "maybe", "'value' must be one of: yes, no."),
        ({"schema": SCHEMA}, "tea", "'value' must be of the type object."),
        ({"schema": SCHEMA}, {}, "'value.lines' is missing."),
        ({"schema": SCHEMA}, {"lines": []}, "'value.lines' must have at least 1 items."),
        ({"schema": SCHEMA}, {"lines": [{**TEA, "count": 0}]}, "'value.lines[0].count' must be at least 1."),
        ({"schema": SCHEMA}, {"lines": [{**TEA, "count": 100}]}, "'value.lines[0].count' must be less than 100."),
        (
            {"schema": SCHEMA},
            {"lines": [{**TEA, "count": True}]},
            "'value.lines[0].count' must be of the type integer.",
        ),
        ({"schema": SCHEMA}, {"lines": [{"article": ""}]}, "'value.lines[0].article' must have at least 1 characters."),
        (
            {"schema": SCHEMA},
            {"lines": [{"article": "T"}]},
            "'value.lines[0].article' does not have the form ^[a-z]+$.",
        ),
        ({"schema": SCHEMA}, {"lines": [TEA], "note": 1}, "'value.note' must be of the type string."),
        ({"schema": {"const": 3}}, 4, "'value' must be 3."),
        ({"schema": {"additionalProperties": False}}, {"a": 1}, "'value.a' is not allowed."),
        ({"schema": {"allOf": [{"enum": ["a"]}]}}, "b", "'value' must be one of: a."),
        ({"schema": {"$ref": "#"}}, 1, "'value' is nested too deeply."),
    ],
)
def test_does_not_fit(question: dict[str, Any], value: Any, problem: str) -> None:
    assert find_problem(question, value) == problem


def test_a_text_that_nearly_fits_a_pattern_does_not_occupy_the_gateway() -> None:
    # An engine that tries all ways to read it would take years.
    assert find_problem({"schema": {"pattern": "^(a+)+$"}}, "a" * 1000 + "!") != ""


class Sum(BaseModel):
    parts: list["Term"]


class Product(BaseModel):
    parts: list["Term"]


class Power(BaseModel):
    parts: list["Term"]


class Quotient(BaseModel):
    parts: list["Term"]


Term = Sum | Product | Power | Quotient


def nested(levels: int) -> dict[str, Any]:
    """An expression whose innermost part is wrong."""
    return {"parts": [nested(levels - 1)] if levels else 1}


def test_a_value_with_many_possible_meanings_does_not_occupy_the_gateway() -> None:
    # Each level has four meanings, each of which is checked down to the fault: together a quarter of a million checks.
    schema = TypeAdapter(Term).json_schema()
    assert find_problem({"schema": schema}, nested(7)) == "'value' is too complex to be checked."
    assert (
        find_problem({"schema": schema}, nested(3))
        == "'value.parts[0].parts[0].parts[0].parts' must be of the type array."
    )
    assert (
        find_problem({"schema": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}, 1)
        == "'value' is too complex to be checked."
    )


@pytest.mark.parametrize("value", [True, [True], {"a": True}])
def test_true_is_no_number(value: Any) -> None:
    number = 1 if value is True else [1] if isinstance(value, list) else {"a": 1}
    for question in ({"choices": [number, 2]}, {"schema": {"enum": [number]}}, {"schema": {"const": number}}):
        assert find_problem(question, value) != ""
        assert find_problem(question, number) == ""


def test_what_is_wrong_is_said_in_few_words() -> None:
    assert len(find_problem({"choices": [str(number) for number in range(1000)]}, "x")) < 600
    assert len(find_problem({"schema": {"additionalProperties": False}}, {1000 * "x": 1})) < 600


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "("},
        {"pattern": "^(?=a)"},
        {"pattern": 1},
        {"pattern": []},
        {"minimum": "one"},
        {"minLength": "one"},
        {"enum": 1},
        {"required": 1},
        {"properties": 1},
        {"allOf": 1},
        {"anyOf": 1},
        {"type": [[]]},
    ],
)
@pytest.mark.parametrize("value", [1, "text", {"a": 1}])
def test_what_is_no_schema_demands_nothing(schema: dict[str, Any], value: Any) -> None:
    assert find_problem({"schema": schema}, value) == ""
