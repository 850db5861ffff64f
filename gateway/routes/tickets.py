"""Rights to a stream, handed on and taken back. docs/protocol.md, section 11, is the source."""

import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from contract.connection import Client
from contract.tickets import revoke_tickets
from gateway.access.authenticator import Authenticator
from gateway.access.permissions import COOKIE, Permissions
from gateway.access.tickets import Scope
from gateway.http.body import parse_object, read_body
from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse
from gateway.http.stream_urls import no_such_stream, urls_of

BODY_LIMIT_BYTES = 8192
MAX_PACE_S = 30 * 86_400


def ticket_router(
    client: Client, authenticator: Authenticator, permissions: Permissions, *, usual_s: int, control_s: int
) -> APIRouter:
    """The routes, over these parts. `usual_s`: how long a ticket is good where nobody says; `control_s`: one that goes
    with a run, and a viewer's cookie."""
    router = APIRouter(tags=["tickets"])

    @router.post("/v1/streams/{stream_id}/tickets", status_code=201)
    async def give(stream_id: str, request: Request) -> JsonResponse:
        """A ticket for this stream, to hand on."""
        permission = await permissions.check_control(request, stream_id)
        raw = await read_body(request, BODY_LIMIT_BYTES)
        scope, lifetime_s = _parse_wish(parse_object(raw) if raw else {}, usual_s)
        ticket = await permissions.give(stream_id, scope, lifetime_s=lifetime_s, revoked=permission.record.revoked)
        control = ticket.text if scope is Scope.CONTROL else None
        told = {"ticket": ticket.text, "scope": scope, "expires_at": ticket.expires_at}
        return JsonResponse({**told, "urls": urls_of(stream_id, view=ticket.text, control=control)}, 201)

    @router.delete("/v1/streams/{stream_id}/tickets")
    async def revoke(stream_id: str, request: Request) -> JsonResponse:
        """Makes every ticket of this stream void; the caller gets a new one."""
        await permissions.check_control(request, stream_id)
        revoked = await revoke_tickets(client, stream_id)
        if revoked is None:
            raise no_such_stream(stream_id)
        ticket = await permissions.give(stream_id, Scope.CONTROL, lifetime_s=control_s, revoked=revoked)
        return JsonResponse({"tickets": {"control": ticket.text}})

    @router.post("/v1/streams/{stream_id}/cookie", status_code=204)
    async def keep(stream_id: str, request: Request) -> Response:
        """Keeps the ticket of this request in a cookie: the same one, and no longer than it is good."""
        authenticator.check_page(request)
        ticket = await permissions.check_ticket(request, stream_id)
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE,
            ticket.text,
            max_age=max(1, ticket.expires_at - int(time.time())),
            path=f"/v1/streams/{stream_id}",
            httponly=True,
            samesite="strict",
            secure=authenticator.read_source(request).is_secure,
        )
        return answer

    return router


def _parse_wish(fields: dict[str, Any], usual_s: int) -> tuple[Scope, int]:
    if unknown := sorted(set(fields) - {"scope", "expires_in_s"}):
        raise ApiError(400, "unknown_parameter", f"Unknown: '{unknown[0][:64]}'.", param=unknown[0][:64])
    scope, lifetime_s = fields.get("scope", Scope.VIEW), fields.get("expires_in_s", usual_s)
    if scope not in list(Scope):
        raise ApiError(400, "invalid_value", "'scope' must be 'view' or 'control'.", param="scope")
    if isinstance(lifetime_s, bool) or not isinstance(lifetime_s, int) or not 0 < lifetime_s <= MAX_PACE_S:
        text = f"'expires_in_s' must be a whole number of seconds, 1 to {MAX_PACE_S}."
        raise ApiError(400, "invalid_value", text, param="expires_in_s")
    return Scope(scope), lifetime_s
