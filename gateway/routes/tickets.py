"""Calls for the tickets of a stream: make one, revoke all, store one in a cookie. docs/protocol.md, section 11."""

import time

from fastapi import FastAPI, Request
from starlette.responses import Response

from contract.connection import Client
from contract.tickets import revoke_tickets
from gateway.access.permissions import COOKIE
from gateway.access.setup import AccessControl
from gateway.access.tickets import Scope
from gateway.http.body import parse_object, read_body
from gateway.http.json_response import JsonResponse
from gateway.http.models import check_body
from gateway.http.root_path import prefix_of
from gateway.http.security_log import Kind, SecurityLog
from gateway.http.stream_urls import no_such_stream, urls_of
from gateway.routes.models import ControlTickets, NewTickets, StreamIdPath, Ticket, TicketRequest
from gateway.routes.openapi import ACCESS_ERRORS, BODY_ERRORS, document

BODY_LIMIT_BYTES = 8192


class TicketRoutes:
    """Tickets. `default_s`: how long a ticket is valid if the request does not say; `control_s`: how long the control
    ticket that replaces revoked ones is valid."""

    def __init__(
        self,
        client: Client,
        access: AccessControl,
        security: SecurityLog,
        *,
        default_s: int,
        control_s: int,
    ) -> None:
        self._client = client
        self._authenticator, self._permissions, self._tickets = access
        self._security = security
        self._default_s = default_s
        self._control_s = control_s

    def register(self, app: FastAPI) -> None:
        path = "/v1/streams/{stream_id}"
        app.add_api_route(
            f"{path}/tickets",
            self.give,
            methods=["POST"],
            status_code=201,
            response_model=Ticket,
            **document(
                "giveTicket",
                tag="tickets",
                takes_ticket=True,
                body=TicketRequest,
                body_required=False,
                errors=(*BODY_ERRORS, *ACCESS_ERRORS),
            ),
        )
        app.add_api_route(
            f"{path}/tickets",
            self.revoke,
            methods=["DELETE"],
            response_model=NewTickets,
            **document("revokeTickets", tag="tickets", takes_ticket=True, errors=ACCESS_ERRORS),
        )
        app.add_api_route(
            f"{path}/cookie",
            self.keep,
            methods=["POST"],
            status_code=204,
            **document("keepTicket", tag="tickets", takes_ticket=True, errors=ACCESS_ERRORS),
        )

    async def give(self, stream_id: StreamIdPath, request: Request) -> JsonResponse:
        """Makes a ticket for this stream, to share."""
        permission = await self._permissions.check_control(request, stream_id)
        raw = await read_body(request, BODY_LIMIT_BYTES)
        body = check_body(TicketRequest, parse_object(raw) if raw else {})
        scope, lifetime_s = Scope(body.scope), self._default_s if body.expires_in_s is None else body.expires_in_s
        revoked = permission.record.revoked
        ticket = await self._tickets.give(
            stream_id, scope, lifetime_s=lifetime_s, revoked=revoked, giver=permission.ticket
        )
        control = ticket.text if scope is Scope.CONTROL else None
        urls = urls_of(stream_id, prefix_of(request), view=ticket.text, control=control)
        return JsonResponse(Ticket(ticket=ticket.text, scope=scope, expires_at=ticket.expires_at, urls=urls), 201)

    async def revoke(self, stream_id: StreamIdPath, request: Request) -> JsonResponse:
        """Makes every ticket of this stream invalid; the caller gets a new control ticket."""
        permission = await self._permissions.check_control(request, stream_id)
        revoked = await revoke_tickets(self._client, stream_id)
        if revoked is None:
            raise no_such_stream(stream_id)
        caller = permission.owner.name if permission.owner else ""
        by = "by_ticket" if permission.ticket else "by_owner"
        self._security.note(Kind.REVOCATION, request, by, caller=caller, stream=stream_id)
        ticket = await self._tickets.give(
            stream_id, Scope.CONTROL, lifetime_s=self._control_s, revoked=revoked, giver=permission.ticket
        )
        return JsonResponse(NewTickets(tickets=ControlTickets(control=ticket.text)))

    async def keep(self, stream_id: StreamIdPath, request: Request) -> Response:
        """Stores the request's ticket in a cookie, which expires with the ticket."""
        self._authenticator.check_page(request)
        ticket = await self._permissions.check_ticket(request, stream_id)
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE,
            ticket.text,
            max_age=max(1, ticket.expires_at - int(time.time())),
            path=f"{prefix_of(request)}/v1/streams/{stream_id}",
            httponly=True,
            samesite="strict",
            secure=self._authenticator.read_source(request).is_secure,
        )
        return answer
