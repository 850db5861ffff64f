"""Tickets: a right to one stream, to view or to control it, that whoever holds it may hand on."""

import time
from enum import StrEnum
from typing import NamedTuple

from contract.run_record import RunRecord
from gateway.access.signing import ExpiredError, ForgedError, Signing
from gateway.http.errors import ApiError

AUDIENCE = "manycast.ticket"


class Scope(StrEnum):
    """What a ticket is good for; `control` includes `view`."""

    VIEW = "view"
    CONTROL = "control"


class Ticket(NamedTuple):
    """What is handed out; `expires_at` in Unix seconds."""

    text: str
    scope: Scope
    expires_at: int


class Tickets:
    """Gives and reads them. Whether one was revoked stands in the stream's record."""

    def __init__(self, signing: Signing) -> None:
        self._signing = signing

    async def give(self, stream_id: str, scope: Scope, *, lifetime_s: int, revoked: int) -> Ticket:
        """Good until this stream's tickets are revoked once more than `revoked` times.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        expires_at = int(time.time()) + lifetime_s
        claims = {"sub": stream_id, "scope": scope, "revoked": revoked}
        return Ticket(await self._signing.sign(AUDIENCE, claims, expires_at), scope, expires_at)

    async def check(self, text: str, stream_id: str, scope: Scope, record: RunRecord) -> Ticket:
        """The ticket, if it is good for `scope`. Raises: ApiError 403, BrokerUnavailableError, BrokerRefusedError."""
        try:
            claims = (await self._signing.read(AUDIENCE, text)).claims
        except ExpiredError:
            raise _refused("expired", "This ticket has expired.") from None
        except ForgedError:
            raise _refused("invalid", "This ticket is none of ours.") from None
        if claims["sub"] != stream_id:
            raise _refused("invalid", "This ticket is for another stream.")
        if claims.get("revoked") != record.revoked:
            raise _refused("revoked", "This ticket was revoked.")
        if claims.get("scope") not in (scope, Scope.CONTROL):
            raise _refused("scope", "This ticket is for viewing only.")
        return Ticket(text, Scope(claims["scope"]), int(claims["exp"]))


def is_ticket(text: str) -> bool:
    """Whether it looks like one: a JWT begins with `{"` in base64url, which no key does."""
    return text.startswith("ey")


def ticket_missing(what: str) -> ApiError:
    return _refused("missing", f"{what} needs a ticket, or the key or session of who started it.")


def _refused(why: str, text: str) -> ApiError:
    return ApiError(403, f"ticket_{why}", text, type_="permission_error", param="ticket")
