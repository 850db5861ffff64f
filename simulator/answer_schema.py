"""Reads which JSON a request wants for an answer, from `response_format`. No I/O."""

import json
from collections.abc import Iterator
from typing import Any

from simulator.errors import missing, wrong_type, wrong_value

MOST_TRIES = 50
DECODER = json.JSONDecoder()
TEXT = {"type": "string"}
# What `json_object` gets if no message describes the object.
ANY_OBJECT = {
    "type": "object",
    "properties": {"title": TEXT, "points": {"type": "array", "items": TEXT}},
    "required": ["title", "points"],
}


def read_answer_schema(fields: dict[str, Any], texts: list[str]) -> Any:
    """Returns the JSON schema of the answer, or None for prose. `texts` are the messages.

    Raises: Refused 400.
    """
    wanted = fields.get("response_format")
    if wanted is None:
        return None
    if not isinstance(wanted, dict):
        raise wrong_type("response_format", "an object")
    match wanted.get("type"):
        case "text":
            return None
        case "json_object":
            return next((schema for text in reversed(texts) for schema in described(text)), ANY_OBJECT)
        case "json_schema":
            return read_json_schema(wanted)
    raise wrong_value("response_format.type", "one of 'text', 'json_object' and 'json_schema'")


def read_json_schema(wanted: dict[str, Any]) -> Any:
    named = wanted.get("json_schema")
    if named is None:
        raise missing("response_format.json_schema")
    if not isinstance(named, dict):
        raise wrong_type("response_format.json_schema", "an object")
    if not isinstance(named.get("name"), str):
        raise missing("response_format.json_schema.name")
    schema = named.get("schema", {"type": "object"})
    if not isinstance(schema, dict):
        raise wrong_type("response_format.json_schema.schema", "an object")
    return schema


def described(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, each as a schema: libraries put a schema or an example into the prompt."""
    start = -1
    for _ in range(MOST_TRIES):
        start = text.find("{", start + 1)
        if start < 0:
            return
        try:
            found, start = DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if found:
            yield found if "properties" in found or "$defs" in found else schema_of(found)


def schema_of(example: Any) -> dict[str, Any]:
    if isinstance(example, dict):
        properties = {name: schema_of(value) for name, value in example.items()}
        return {"type": "object", "properties": properties, "required": list(properties)}
    if isinstance(example, list):
        return {"type": "array", "items": schema_of(example[0])} if example else {"type": "array"}
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return {"type": names[type(example)]}
