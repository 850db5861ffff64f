"""What a line at the keyboard means as an answer to a script."""

from typing import Any

import pytest

from manycast.command.asker import read_value

CHOICES = {"choices": ["yes", "no", "3"]}
NUMBER = {"schema": {"type": "integer"}}


@pytest.mark.parametrize(
    ("question", "line", "value"),
    [
        ({}, "Ada", "Ada"),
        ({"schema": {"type": "string"}}, "12", "12"),
        (CHOICES, "no", "no"),
        (CHOICES, "1", "yes"),
        (CHOICES, "3", "3"),
        (CHOICES, "4", "4"),
        (CHOICES, "maybe", "maybe"),
        (NUMBER, "12", 12),
        (NUMBER, "twelve", "twelve"),
        ({"schema": {"type": "object"}}, '{"a": 1}', {"a": 1}),
    ],
)
def test_a_line_is_read_as(question: dict[str, Any], line: str, value: Any) -> None:
    assert read_value(question, line) == value
