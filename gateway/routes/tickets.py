"""Tickets for a stream: give, revoke, keep in a cookie. docs/protocol.md, section 11, specifies them."""

import time
from typing import Any

from fastapi import FastAPI, Request
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
MAX_LIFETIME_S = 30 * 86_400


class TicketRoutes:
    """Tickets. `default_s`: how long a ticket is valid if the request names no time; `control_s`: how long a run's
    control ticket is valid."""

    def __init__(
        self,
        client: Client,
        authenticator: Authenticator,
        permissions: Permissions,
        *,
        default_s: int,
        control_s: int,
    ) -> None:
        self._client = client
        self._authenticator = authenticator
        self._permissions = permissions
        self._default_s = default_s
        self._control_s = control_s

    def register(self, app: FastAPI) -> None:
        path = "/v1/streams/{stream_id}"
        app.add_api_route(f"{path}/tickets", self.give, methods=["POST"], status_code=201, tags=["tickets"])
        app.add_api_route(f"{path}/tickets", self.revoke, methods=["DELETE"], tags=["tickets"])
        app.add_api_route(f"{path}/cookie", self.keep, methods=["POST"], status_code=204, tags=["tickets"])

    async def give(self, stream_id: str, request: Request) -> JsonResponse:
        """A new ticket for this stream, to share."""
        permission = await self._permissions.check_control(request, stream_id)
        raw = await read_body(request, BODY_LIMIT_BYTES)
        scope, lifetime_s = _parse_wish(parse_object(raw) if raw else {}, self._default_s)
        revoked = permission.record.revoked
        ticket = await self._permissions.give(stream_id, scope, lifetime_s=lifetime_s, revoked=revoked)
        control = ticket.text if scope is Scope.CONTROL else None
        told = {"ticket": ticket.text, "scope": scope, "expires_at": ticket.expires_at}
        return JsonResponse({**told, "urls": urls_of(stream_id, view=ticket.text, control=control)}, 201)

    async def revoke(self, stream_id: str, request: Request) -> JsonResponse:
        """Makes every ticket of this stream invalid; the caller gets a new control ticket."""
        await self._permissions.check_control(request, stream_id)
        revoked = await revoke_tickets(self._client, stream_id)
        if revoked is None:
            raise no_such_stream(stream_id)
        ticket = await self._permissions.give(stream_id, Scope.CONTROL, lifetime_s=self._control_s, revoked=revoked)
        return JsonResponse({"tickets": {"control": ticket.text}})

    async def keep(self, stream_id: str, request: Request) -> Response:
        """Stores the request's ticket in a cookie, which expires with the ticket."""
        self._authenticator.check_page(request)
        ticket = await self._permissions.check_ticket(request, stream_id)
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE,
            ticket.text,
            max_age=max(1, ticket.expires_at - int(time.time())),
            path=f"/v1/streams/{stream_id}",
            httponly=True,
            samesite="strict",
            secure=self._authenticator.read_source(request).is_secure,
        )
        return answer


def _parse_wish(fields: dict[str, Any], usual_s: int) -> tuple[Scope, int]:
    if unknown := sorted(set(fields) - {"scope", "expires_in_s"}):
        raise ApiError(400, "unknown_parameter", f"Unknown: '{unknown[0][:64]}'.", param=unknown[0][:64])
    scope, lifetime_s = fields.get("scope", Scope.VIEW), fields.get("expires_in_s", usual_s)
    if scope not in list(Scope):
        raise ApiError(400, "invalid_value", "'scope' must be 'view' or 'control'.", param="scope")
    if isinstance(lifetime_s, bool) or not isinstance(lifetime_s, int) or not 0 < lifetime_s <= MAX_LIFETIME_S:
        text = f"'expires_in_s' must be a whole number of seconds, 1 to {MAX_LIFETIME_S}."
        raise ApiError(400, "invalid_value", text, param="expires_in_s")
    return Scope(scope), lifetime_s
