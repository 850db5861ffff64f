"""Decides who may watch a stream, and who may control it. docs/protocol.md, section 11, specifies it."""

from typing import NamedTuple

from fastapi import Request

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.run_record import RunRecord, read_run
from contract.stream_id import is_private
from gateway.access.audience import Audience
from gateway.access.authenticator import Authenticator, bearer_token
from gateway.access.caller import Caller
from gateway.access.signing import read_subject
from gateway.access.tickets import Scope, Ticket, Tickets, is_ticket, ticket_missing
from gateway.http.errors import ApiError
from gateway.http.security_log import Kind, SecurityLog
from gateway.http.stream_urls import check_stream_id, no_such_stream

COOKIE = "manycast_ticket"
QUERY = "ticket"
HEADER = "X-Stream-Ticket"
"""A request for several streams may carry several tickets: this header lists them, separated by commas."""
_CREDENTIALS = frozenset({b"authorization", HEADER.lower().encode(), b"x-forwarded-user"})

_REFUSALS = {
    "ticket_invalid": Kind.FORGED_TICKET,
    "ticket_expired": Kind.EXPIRED_TICKET,
    "ticket_revoked": Kind.REVOKED_TICKET,
}


class Permission(NamedTuple):
    """The right to watch or control the stream of `record`: by `ticket`, or as `owner`, who needs none."""

    ticket: Ticket | None
    owner: Caller | None
    record: RunRecord


class Permissions:
    """Checks each request. An admitted viewer stays until its stream ends, or what admitted it is revoked."""

    def __init__(self, client: Client, authenticator: Authenticator, tickets: Tickets, security: SecurityLog) -> None:
        self._client = client
        self._authenticator = authenticator
        self._tickets = tickets
        self._security = security

    async def check_viewer(self, request: Request, stream_id: str) -> Permission | None:
        """Returns None if anyone with the id may watch. Raises: ApiError 400, 403, 404, BrokerUnavailableError."""
        if not is_private(check_stream_id(stream_id)):
            return None
        return await self._check(request, stream_id, Scope.VIEW, "Watching a private stream")

    async def check_control(self, request: Request, stream_id: str) -> Permission:
        """Raises: ApiError 400, 403, 404, BrokerUnavailableError, BrokerRefusedError."""
        return await self._check(request, check_stream_id(stream_id), Scope.CONTROL, "This")

    async def check_writer(self, request: Request, stream_id: str) -> str:
        """The name of the person who answers a script's question; "" for a person without a name. On a private stream,
        its owner and holders of a control ticket may answer; on others, also everybody who may start runs. Raises: as
        `check_control`."""
        if not is_private(check_stream_id(stream_id)):
            try:
                return (await self._authenticator.authenticate(request)).name
            except ApiError:
                if not _read_ticket(request, stream_id) and COOKIE not in request.cookies:
                    raise
        permission = await self.check_control(request, stream_id)
        return permission.owner.name if permission.owner else ""

    async def check_ticket(self, request: Request, stream_id: str) -> Ticket:
        """The ticket of this request. Raises: as `check_control`."""
        record = await self._find(check_stream_id(stream_id))
        return await self._check_ticket(request, stream_id, Scope.VIEW, "This", record)

    def find_audience_at_once(self, request: Request) -> Audience | None:
        """As `find_audience`, for a request without a query string. None if it takes a look at a ticket, key or
        session."""
        names = {name for name, _ in request.scope["headers"]}
        if not names.isdisjoint(_CREDENTIALS):
            return None
        if not self._authenticator.admits_only_local:
            return Audience.PUBLIC if b"cookie" not in names else None
        try:
            caller = self._authenticator.authenticate_local(request)
        except ApiError:
            return Audience.PUBLIC
        return Audience.OWNER if caller.sees_all else Audience.PUBLIC

    async def find_audience(self, request: Request, stream_id: str) -> Audience:
        """What the client of this request may see of a failure. Never raises: in doubt, the client sees what the public
        sees."""
        try:
            caller = await self._authenticator.authenticate(request)
        except (ApiError, BrokerUnavailableError, BrokerRefusedError):
            caller = None
        if caller is not None and (caller.sees_all or caller.is_operator):
            return Audience.OWNER
        text = _read_ticket(request, stream_id)
        if not text and (caller is None or not caller.identity):
            return Audience.PUBLIC
        try:
            record = await self._find(check_stream_id(stream_id))
            if caller is not None and caller.owns(record.caller):
                return Audience.OWNER
            if text:
                await self._tickets.check(text, stream_id, Scope.CONTROL, record)
                return Audience.OWNER
        except (ApiError, BrokerUnavailableError, BrokerRefusedError):
            pass
        return Audience.PUBLIC

    async def _check(self, request: Request, stream_id: str, scope: Scope, action: str) -> Permission:
        record = await self._find(stream_id)
        owner = await self._find_owner(request, record.caller)
        if owner is not None:
            return Permission(None, owner, record)
        return Permission(await self._check_ticket(request, stream_id, scope, action, record), None, record)

    async def _check_ticket(
        self, request: Request, stream_id: str, scope: Scope, action: str, record: RunRecord
    ) -> Ticket:
        text = _read_ticket(request, stream_id)
        if not text:
            text = request.cookies.get(COOKIE)
            if text is None:
                raise ticket_missing(action)
            # The browser sends the cookie by itself, so a page of another site may have caused this request.
            self._authenticator.check_page(request)
        try:
            return await self._tickets.check(text, stream_id, scope, record)
        except ApiError as refusal:
            kind = _REFUSALS.get(refusal.code, Kind.REFUSED_TICKET)
            self._security.note(kind, request, refusal.code, stream=stream_id)
            raise

    async def _find_owner(self, request: Request, owner: str) -> Caller | None:
        """The caller of the request, if it owns the stream."""
        try:
            caller = await self._authenticator.authenticate(request)
        except ApiError:
            return None
        return caller if caller.owns(owner) else None

    async def _find(self, stream_id: str) -> RunRecord:
        record = await read_run(self._client, stream_id)
        if record is None:
            raise no_such_stream(stream_id)
        return record


def _read_ticket(request: Request, stream_id: str) -> str | None:
    """The ticket that a request carries, except in a cookie. Of several, the one that names the stream."""
    bearer = bearer_token(request)
    if bearer is not None and is_ticket(bearer):
        return bearer
    listed = (text.strip() for text in request.headers.get(HEADER, "").split(","))
    carried = [text for text in (*listed, *request.query_params.getlist(QUERY)) if text]
    if len(carried) < 2:
        return carried[0] if carried else None
    if not hasattr(request.state, "tickets"):
        # Once for each request: it may have many streams and many tickets.
        request.state.tickets = {read_subject(text): text for text in carried}
    by_stream: dict[str | None, str] = request.state.tickets
    return by_stream.get(stream_id, carried[-1])
