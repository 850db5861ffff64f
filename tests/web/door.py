"""The peer's tickets: who may watch a stream and who may stop it, as docs/protocol.md has it in section 11.

They say in plain text what they are good for: `view-ID-N` and `control-ID-N`, N being how often they were revoked.
"""

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


def refuse(status: int, code: str, why: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": why, "type": "x", "param": None, "code": code}}, status, headers)


class Door:
    """`revoked` is how often all tickets were made void."""

    def __init__(self) -> None:
        self.revoked = 0

    def ticket(self, scope: str, stream_id: str) -> str:
        return f"{scope}-{stream_id}-{self.revoked}"

    def refuse_viewer(self, request: Request) -> Response | None:
        """None where the viewer may come in."""
        return self._refuse(request, "view") if request.path_params["id"].startswith("p_") else None

    def refuse_control(self, request: Request) -> Response | None:
        """None where the run may be stopped, and tickets handed out."""
        return self._refuse(request, "control")

    def _refuse(self, request: Request, scope: str) -> Response | None:
        text = ticket_of(request)
        if not text:
            return refuse(403, "ticket_missing", "This needs a ticket.")
        if text == "expired":
            return refuse(403, "ticket_expired", "This ticket has expired.")
        parts = re.fullmatch(r"(view|control)-(.+)-(\d+)", text)
        if parts is None or parts[2] != request.path_params["id"]:
            return refuse(403, "ticket_invalid", "This ticket is none of ours.")
        if int(parts[3]) != self.revoked:
            return refuse(403, "ticket_revoked", "This ticket was revoked.")
        if parts[1] not in (scope, "control"):
            return refuse(403, "ticket_scope", "This ticket is for viewing only.")
        return None


def ticket_of(request: Request) -> str | None:
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    return bearer or request.query_params.get("ticket") or request.cookies.get("manycast_ticket")
