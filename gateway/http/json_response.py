"""How the gateway answers in JSON: half a surrogate pair, which a provider may cut off, is escaped, being no UTF-8."""

from starlette.responses import JSONResponse

from contract.event import encode_json


class JsonResponse(JSONResponse):
    """Starlette's, but for what it cannot write."""

    def render(self, content: object) -> bytes:
        return encode_json(content)
