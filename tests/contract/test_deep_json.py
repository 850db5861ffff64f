"""JSON of any depth is written and read as the standard library would, if it could."""

import json
from typing import Any

from hypothesis import given

from contract.deep_json import read_deep_json, write_deep_json
from contract.event import encode_json, parse_json
from tests.contract.chunks import VALUES

DEPTH = 50_000


def nested(depth: int) -> Any:
    value: Any = "the innermost"
    for _ in range(depth):
        value = {"x": [value]}
    return value


@given(VALUES)
def test_json_is_the_same_as_the_standard_librarys(value: Any) -> None:
    for ensure_ascii in (True, False):
        text = json.dumps(value, ensure_ascii=ensure_ascii, separators=(",", ":"))
        assert write_deep_json(value, ensure_ascii=ensure_ascii) == text
        assert json.dumps(read_deep_json(text)) == json.dumps(value)


def test_a_deeply_nested_value_comes_back_as_it_was() -> None:
    text = encode_json(nested(DEPTH))
    assert text == b'{"x":[' * DEPTH + b'"the innermost"' + b"]}" * DEPTH
    assert encode_json(parse_json(text)) == text


def test_a_lone_surrogate_in_a_deeply_nested_value_is_escaped() -> None:
    text = encode_json({"cut": "\ud83d", "deep": nested(DEPTH)})
    assert text.startswith(b'{"cut":"\\ud83d"')
    assert encode_json(parse_json(text)) == text
