"""`/v1/session`: a person signs in and out, and the page asks what it may do. docs/protocol.md, section 11."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.access.authenticator import LOCAL_ONLY, Authenticator
from gateway.access.caller import Caller
from gateway.access.sessions import COOKIE
from gateway.http.body import parse_object, read_body
from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse

SECRET_LIMIT_CHARS = 1024
BODY_LIMIT_BYTES = 8192


def sign_in_router(authenticator: Authenticator, lifetime_s: int) -> APIRouter:
    """The routes, over these parts. `lifetime_s`: how long a session lasts."""
    router = APIRouter(tags=["session"])

    @router.get("/v1/session")
    async def describe(request: Request) -> JsonResponse:
        """Whether this browser may start runs, and if not, what would help."""
        try:
            return JsonResponse(_describe(authenticator, await authenticator.authenticate(request)))
        except ApiError as refusal:
            told = {"caller": None, "may_start": False, "sign_in": authenticator.takes_secrets, "message": str(refusal)}
            return JsonResponse(told)

    @router.post("/v1/session")
    async def sign_in(request: Request) -> JsonResponse:
        """Takes the password, or an API key, and answers with the cookie."""
        await authenticator.check_sign_in_rate(request)
        secret = parse_object(await read_body(request, BODY_LIMIT_BYTES)).get("secret")
        if not isinstance(secret, str) or not 0 < len(secret) <= SECRET_LIMIT_CHARS:
            text = f"'secret' must be a string of 1 to {SECRET_LIMIT_CHARS} characters."
            raise ApiError(400, "invalid_value", text, param="secret")
        caller, cookie = await authenticator.sign_in(secret)
        answer = JsonResponse(_describe(authenticator, caller))
        secure = authenticator.read_source(request).is_secure
        answer.set_cookie(COOKIE, cookie, max_age=lifetime_s, httponly=True, samesite="strict", secure=secure)
        return answer

    @router.delete("/v1/session")
    async def sign_out(request: Request) -> Response:
        """Takes the cookie away."""
        authenticator.check_page(request)
        answer = Response(status_code=204)
        answer.delete_cookie(
            COOKIE, httponly=True, samesite="strict", secure=authenticator.read_source(request).is_secure
        )
        return answer

    return router


def _describe(authenticator: Authenticator, caller: Caller) -> dict[str, Any]:
    text = LOCAL_ONLY if authenticator.is_local else None
    return {"caller": caller.name or None, "may_start": True, "sign_in": False, "message": text}
