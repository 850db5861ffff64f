"""API errors, and handlers that answer each error with OpenAI's error body and a matching HTTP status."""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from gateway.http.json_response import JsonResponse
from gateway.http.refusal_log import RefusalLog
from gateway.http.root_path import prefix_of, route_path
from gateway.http.security_log import LIMITS, Kind, SecurityLog
from gateway.http.unknown_path import explain_path

INVALID_REQUEST = "invalid_request_error"
BUSY_RETRY_AFTER_S = 2
BROKER_RETRY_AFTER_S = 2
FULL_RETRY_AFTER_S = 10
GONE_STATUS = 499
"""nginx's status for a client that has disconnected. The client never sees it; logs do."""


class ApiError(Exception):
    """Answers the request with `status` and OpenAI's `{"error":{message,type,param,code}}`."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        type_: str = INVALID_REQUEST,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body = {"error": {"message": message, "type": type_, "param": param, "code": code}}
        self.headers = headers


def broker_unavailable(headers: Mapping[str, str] | None = None) -> ApiError:
    """Redis cannot be reached or refuses commands; the caller should retry. `headers` are added to `Retry-After`."""
    message = "The broker cannot be reached right now."
    headers = {"Retry-After": str(BROKER_RETRY_AFTER_S), **(headers or {})}
    return ApiError(503, "broker_unavailable", message, type_="server_error", headers=headers)


def gateway_busy(message: str) -> ApiError:
    """A budget of this process is used up. `message` names its setting."""
    headers = {"Retry-After": str(BUSY_RETRY_AFTER_S)}
    return ApiError(503, "gateway_busy", message, type_="server_error", headers=headers)


def too_many_viewers(headers: Mapping[str, str] | None = None) -> ApiError:
    """This gateway has reached its viewer limit. Another gateway may have room."""
    headers = {"Retry-After": str(FULL_RETRY_AFTER_S), **(headers or {})}
    return ApiError(
        503, "too_many_viewers", "Too many viewers are connected right now.", type_="server_error", headers=headers
    )


def gateway_stopping(message: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """This process drains; the caller should retry at another one."""
    headers = {"Retry-After": "1", **(headers or {})}
    return ApiError(503, "gateway_stopping", message, type_="server_error", headers=headers)


def answer_errors(app: FastAPI, security: SecurityLog) -> None:
    """Makes `app` answer every error with OpenAI's error body, including the framework's own errors."""
    refusals = RefusalLog()

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: Exception) -> JsonResponse:
        assert isinstance(error, ApiError)
        if error.code in LIMITS:
            caller = getattr(request.state, "caller", "")
            security.note(Kind.LIMIT_REACHED, request, error.code, caller=caller)
        return JsonResponse(error.body, error.status, headers=error.headers)

    @app.exception_handler(BrokerUnavailableError)
    @app.exception_handler(BrokerRefusedError)
    async def broker_error(request: Request, error: Exception) -> JsonResponse:
        if isinstance(error, BrokerRefusedError):
            # Only the operator can end this, and the client does not learn why.
            refusals.note(str(error))
        return await api_error(request, broker_unavailable())

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: Exception) -> JsonResponse:
        assert isinstance(error, HTTPException)
        match error.status_code:
            case 404:
                return await api_error(request, _no_such_path(app, request))
            case 405:
                return await api_error(request, _wrong_method(app, request, error))
        message = f"{error.detail} ({request.method} {request.url.path})"
        return await api_error(request, ApiError(error.status_code, "invalid_request", message, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: Exception) -> JsonResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        return await api_error(request, ApiError(400, "invalid_value", first["msg"], param=str(first["loc"][-1])))

    @app.exception_handler(Exception)
    async def unexpected_error(request: Request, _: Exception) -> JsonResponse:
        message = "An internal error occurred. It has been logged."
        return await api_error(request, ApiError(500, "internal_error", message, type_="server_error"))


def explain_no_such_path(app: FastAPI, path: str, prefix: str = "") -> str:
    """What to do about a request for a path that `app` does not have; "" if that is unknown. See `explain_path`."""
    return explain_path(path, prefix, lambda candidate: bool(_methods_of(app, candidate)))


def _no_such_path(app: FastAPI, request: Request) -> ApiError:
    advice = explain_no_such_path(app, route_path(request.scope), prefix_of(request))
    message = f"Invalid URL ({request.method} {request.url.path})"
    return ApiError(404, "not_found", f"{message}. {advice}" if advice else message)


def _wrong_method(app: FastAPI, request: Request, error: HTTPException) -> ApiError:
    # The framework names only the methods of the first route with this path.
    methods = ", ".join(sorted(_methods_of(app, route_path(request.scope))))
    allowed = methods or (error.headers or {}).get("Allow", "")
    message = f"{error.detail} ({request.method} {request.url.path}). Allowed: {allowed}."
    return ApiError(405, "method_not_allowed", message, headers={"Allow": allowed})


def _methods_of(app: FastAPI, path: str) -> set[str]:
    """The methods that the routes of a path take; none if there is no such path."""
    scope = {"type": "http", "path": path, "root_path": "", "method": ""}
    return {
        method
        for route in app.routes
        if route.matches(scope)[0] is not Match.NONE
        for method in getattr(route, "methods", None) or ()
    }
