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
    """Signing in and out. `lifetime_s`: how long a session lasts. `share_url`: as in the settings."""

    def __init__(self, authenticator: Authenticator, lifetime_s: int, share_url: str) -> None:
        self._authenticator = authenticator
        self._lifetime_s = lifetime_s
        self._share_url = share_url

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
            return JsonResponse(self._describe(request, await self._authenticator.authenticate(request)))
        except ApiError as refusal:
            return JsonResponse(
                Session(
                    caller=None,
                    may_start=False,
                    sign_in=self._authenticator.has_sign_in,
                    message=str(refusal),
                    share_url=self._find_share_url(request),
                )
            )

    async def sign_in(self, request: Request) -> JsonResponse:
        """Takes the password or an API key, and sets the session cookie."""
        await self._authenticator.check_sign_in_rate(request)
        body = check_body(SignInRequest, parse_object(await read_body(request, BODY_LIMIT_BYTES)))
        caller, cookie = await self._authenticator.sign_in(request, body.secret)
        answer = JsonResponse(self._describe(request, caller))
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

    def _describe(self, request: Request, caller: Caller) -> Session:
        text = LOCAL_ONLY if self._authenticator.admits_only_local else None
        share_url = self._find_share_url(request)
        return Session(caller=caller.name or None, may_start=True, sign_in=False, message=text, share_url=share_url)

    def _find_share_url(self, request: Request) -> str | None:
        is_local = self._authenticator.read_source(request).host_is_local
        return self._share_url or None if is_local else None


def _path(request: Request) -> str:
    """The path of the session cookie: other applications of the same host do not receive it."""
    return prefix_of(request) or "/"
