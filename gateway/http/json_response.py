"""JSON responses. A provider may cut a text inside a surrogate pair; half a pair cannot be UTF-8, so it is escaped."""

from pydantic import BaseModel
from starlette.responses import JSONResponse

from contract.event import encode_json


class JsonResponse(JSONResponse):
    """Takes JSON data, or a model of a response body."""

    def render(self, content: object) -> bytes:
        return encode_json(_to_json_data(content))


def _to_json_data(value: object) -> object:
    """Turns models into dicts of the fields that were set. `model_dump` would fail on deeply nested provider values."""
    if isinstance(value, BaseModel):
        return {name: _to_json_data(item) for name, item in value if name in value.model_fields_set}
    if isinstance(value, list) and value and isinstance(value[0], BaseModel):
        return [_to_json_data(item) for item in value]
    if isinstance(value, dict) and value and isinstance(next(iter(value.values())), BaseModel):
        return {name: _to_json_data(item) for name, item in value.items()}
    return value
