"""Tickets: signed rights to view or control one stream, which their holder may pass on."""

import time
from enum import StrEnum
from typing import NamedTuple

from contract.run_record import RunRecord
from gateway.access.signing import ExpiredError, ForgedError, Signing
from gateway.http.errors import ApiError

AUDIENCE = "manycast.ticket"


class Scope(StrEnum):
    """What a ticket permits; `control` includes `view`."""

    VIEW = "view"
    CONTROL = "control"


class Ticket(NamedTuple):
    """`expires_at` in Unix seconds."""

    text: str
    scope: Scope
    expires_at: int


class Tickets:
    """Gives and checks tickets. The stream's record says how often its tickets were revoked."""

    def __init__(self, signing: Signing) -> None:
        self._signing = signing

    async def give(
        self, stream_id: str, scope: Scope, *, lifetime_s: int, revoked: int, giver: Ticket | None = None
    ) -> Ticket:
        """A new ticket. `revoked`: how often the stream's tickets have been revoked; the next revocation makes the
        ticket invalid. `giver`: the ticket of the request that asks for it, which the new one does not outlive.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        expires_at = int(time.time()) + lifetime_s
        if giver is not None:
            expires_at = min(expires_at, giver.expires_at)
        claims = {"sub": stream_id, "scope": scope, "revoked": revoked}
        return Ticket(await self._signing.sign(AUDIENCE, claims, expires_at), scope, expires_at)

    async def check(self, text: str, stream_id: str, scope: Scope, record: RunRecord) -> Ticket:
        """The ticket, if it permits `scope`. Raises: ApiError 403, BrokerUnavailableError, BrokerRefusedError."""
        try:
            claims = (await self._signing.read(AUDIENCE, text)).claims
        except ExpiredError:
            raise _refused("expired", "This ticket has expired.") from None
        except ForgedError:
            raise _refused("invalid", "This ticket was not issued by this server.") from None
        if claims["sub"] != stream_id:
            raise _refused("invalid", "This ticket is for another stream.")
        if claims.get("revoked") != record.revoked:
            raise _refused("revoked", "This ticket was revoked.")
        if claims.get("scope") not in (scope, Scope.CONTROL):
            raise _refused("scope", "This ticket is for viewing only.")
        return Ticket(text, Scope(claims["scope"]), int(claims["exp"]))


def is_ticket(text: str) -> bool:
    """Whether `text` looks like a ticket: a JWT begins with `{"` in base64url, and an API key never does."""
    return text.startswith("ey")


def ticket_missing(action: str) -> ApiError:
    return _refused("missing", f"{action} needs a ticket, or the key or session of the caller who started the run.")


def _refused(why: str, text: str) -> ApiError:
    return ApiError(403, f"ticket_{why}", text, type_="permission_error", param="ticket")
