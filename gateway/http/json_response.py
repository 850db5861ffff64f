"""JSON responses. Text that a provider cut inside a surrogate pair is no valid UTF-8, so it is sent escaped."""

from pydantic import BaseModel
from starlette.responses import JSONResponse

from contract.event import encode_json


class JsonResponse(JSONResponse):
    """The content is JSON data or a response body's model."""

    def render(self, content: object) -> bytes:
        return encode_json(_plain(content))


def _plain(value: object) -> object:
    """Models as the fields that were set. Not `model_dump`: it fails on providers' values that are nested deeply."""
    if isinstance(value, BaseModel):
        return {name: _plain(held) for name, held in value if name in value.model_fields_set}
    if isinstance(value, list) and value and isinstance(value[0], BaseModel):
        return [_plain(held) for held in value]
    return value
