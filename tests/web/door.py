"""The peer's tickets: who may watch a stream and who may stop it, as docs/protocol.md has it in section 11.

They say in plain text what they are good for: `view-ID-N.signed` and `control-ID-N.signed`, N being how often they were
revoked. As real ones do, they have a dot.
"""

import re
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


def refuse(status: int, code: str, why: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": why, "type": "x", "param": None, "code": code}}, status, headers)


class Door:
    """`revoked` is how often all tickets were made void; `unwell` a status that cookies are answered with."""

    def __init__(self) -> None:
        self.revoked = 0
        self.unwell = 0
        self.seal = "signed"

    def ticket(self, scope: str, stream_id: str) -> str:
        return f"{scope}-{stream_id}-{self.revoked}.{self.seal}"

    def refuse_viewer(self, request: Request) -> Response | None:
        """None where the viewer may come in."""
        return self._refuse(request, "view") if request.path_params["id"].startswith("p_") else None

    def refuse_control(self, request: Request) -> Response | None:
        """None where the run may be stopped, and tickets handed out."""
        return self._refuse(request, "control")

    def hand_out(self, request: Request) -> Response:
        """`POST` and `DELETE` of `/v1/streams/{id}/tickets`."""
        if refusal := self.refuse_control(request):
            return refusal
        stream_id = request.path_params["id"]
        if request.method == "DELETE":
            self.revoked += 1
            return JSONResponse({"tickets": {"control": self.ticket("control", stream_id)}})
        view = self.ticket("view", stream_id)
        told = {"ticket": view, "scope": "view", "expires_at": int(time.time()) + 3600}
        return JSONResponse({**told, "urls": {"page": f"/watch#{stream_id}.{view}"}}, 201)

    async def keep(self, request: Request) -> Response:
        """`POST /v1/streams/{id}/cookie`."""
        if self.unwell:
            return Response(status_code=self.unwell)
        if refusal := self._refuse(request, "view"):
            return refusal
        answer, path = Response(status_code=204), f"/v1/streams/{request.path_params['id']}"
        answer.set_cookie("manycast_ticket", ticket_of(request) or "", path=path, httponly=True, samesite="strict")
        return answer

    def _refuse(self, request: Request, scope: str) -> Response | None:
        text = ticket_of(request)
        if not text:
            return refuse(403, "ticket_missing", "This needs a ticket.")
        if text == "expired":
            return refuse(403, "ticket_expired", "This ticket has expired.")
        parts = re.fullmatch(r"(view|control)-(.+)-(\d+)\.\w+", text)
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
