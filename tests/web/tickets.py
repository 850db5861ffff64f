"""The peer's tickets: who may watch a stream and who may stop it (docs/protocol.md, section 11).

A ticket is `view-ID-N.signed` or `control-ID-N.signed`, where N counts the revocations. Like a real one it has a dot.
"""

import re
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


def refuse(status: int, code: str, why: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": why, "type": "x", "param": None, "code": code}}, status, headers)


class Tickets:
    """`revoked` counts the revocations. A `cookie_status` other than 0 answers the requests for a cookie."""

    def __init__(self) -> None:
        self.revoked = 0
        self.cookie_status = 0
        self.signature = "signed"

    def ticket(self, scope: str, stream_id: str) -> str:
        return f"{scope}-{stream_id}-{self.revoked}.{self.signature}"

    def refuse_viewer(self, request: Request) -> Response | None:
        """None if the viewer may watch."""
        return self._refuse(request, "view") if request.path_params["id"].startswith("p_") else None

    def refuse_control(self, request: Request) -> Response | None:
        """None if the run may be stopped and tickets may be created."""
        return self._refuse(request, "control")

    def create(self, request: Request) -> Response:
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

    async def set_cookie(self, request: Request) -> Response:
        """`POST /v1/streams/{id}/cookie`."""
        if self.cookie_status:
            return Response(status_code=self.cookie_status)
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
