"""`/v1/session`: sign in and out, and tell the page what its user may do. docs/protocol.md, section 11."""

from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway.access.authenticator import LOCAL_ONLY, Authenticator
from gateway.access.caller import Caller
from gateway.http.body import parse_object, read_body
from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse
from gateway.http.models import check_body
from gateway.http.root_path import prefix_of
from gateway.routes.models import Session, SignInRequest
from gateway.routes.openapi import BODY_ERRORS, document

BODY_LIMIT_BYTES = 8192


class SessionRoutes:
    """Signing in and out. `lifetime_s`: how long a session lasts."""

    def __init__(self, authenticator: Authenticator, lifetime_s: int) -> None:
        self._authenticator = authenticator
        self._lifetime_s = lifetime_s

    def register(self, app: FastAPI) -> None:
        path = "/v1/session"
        app.add_api_route(
            path,
            self.describe,
            methods=["GET"],
            response_model=Session,
            **document("readSession", tag="session"),
        )
        app.add_api_route(
            path,
            self.sign_in,
            methods=["POST"],
            response_model=Session,
            **document("signIn", tag="session", body=SignInRequest, errors=(*BODY_ERRORS, 401, 403, 429)),
        )
        app.add_api_route(
            path,
            self.sign_out,
            methods=["DELETE"],
            status_code=204,
            **document("signOut", tag="session", errors=(403,)),
        )

    async def describe(self, request: Request) -> JsonResponse:
        """Whether this browser may start runs, and if not, why and whether signing in would help."""
        try:
            return JsonResponse(self._describe(await self._authenticator.authenticate(request)))
        except ApiError as refusal:
            may_sign_in = self._authenticator.has_sign_in
            return JsonResponse(Session(caller=None, may_start=False, sign_in=may_sign_in, message=str(refusal)))

    async def sign_in(self, request: Request) -> JsonResponse:
        """Takes the password or an API key, and sets the session cookie."""
        await self._authenticator.check_sign_in_rate(request)
        body = check_body(SignInRequest, parse_object(await read_body(request, BODY_LIMIT_BYTES)))
        caller, cookie = await self._authenticator.sign_in(request, body.secret)
        answer = JsonResponse(self._describe(caller))
        answer.set_cookie(
            self._authenticator.session_cookie(request),
            cookie,
            max_age=self._lifetime_s,
            path=_path(request),
            httponly=True,
            samesite="strict",
            secure=self._authenticator.read_source(request).is_secure,
        )
        return answer

    async def sign_out(self, request: Request) -> Response:
        """Ends the session and deletes its cookie."""
        await self._authenticator.sign_out(request)
        answer = Response(status_code=204)
        secure, name = self._authenticator.read_source(request).is_secure, self._authenticator.session_cookie(request)
        answer.delete_cookie(name, path=_path(request), httponly=True, samesite="strict", secure=secure)
        return answer

    def _describe(self, caller: Caller) -> Session:
        text = LOCAL_ONLY if self._authenticator.admits_only_local else None
        return Session(caller=caller.name or None, may_start=True, sign_in=False, message=text)


def _path(request: Request) -> str:
    """The path of the session cookie: other applications of the same host do not receive it."""
    return prefix_of(request) or "/"
