"""`POST /v1/streams`: a run is started. docs/protocol.md, section 5, is the source."""

from fastapi import APIRouter, Request

from contract.connection import Client
from contract.run_record import read_run
from gateway.access.authenticator import Authenticator
from gateway.access.permissions import Permissions
from gateway.access.tickets import Scope
from gateway.http.json_response import JsonResponse
from gateway.http.stream_urls import urls_of
from gateway.runs.chat_request import parse_chat_request
from gateway.runs.submit import RunSubmitter


def start_router(
    client: Client, authenticator: Authenticator, permissions: Permissions, submitter: RunSubmitter, view_s: int
) -> APIRouter:
    """The route, over these parts. `view_s`: how long the first ticket for viewers is good."""
    router = APIRouter(tags=["streams"])

    @router.post("/v1/streams", status_code=201)
    async def start(request: Request) -> JsonResponse:
        """Queues a run. The body is OpenAI's chat-completions request."""
        caller = await authenticator.authenticate_start(request)
        chat = parse_chat_request(await submitter.read(request))
        submitted = await submitter.submit(caller, chat, request.headers.get("idempotency-key"))
        stream_id, tickets = submitted.stream_id, {"control": submitted.control.text}
        record = await read_run(client, stream_id)
        if chat.private:
            view = await permissions.give(
                stream_id, Scope.VIEW, lifetime_s=view_s, revoked=record.revoked if record else 0
            )
            tickets["view"] = view.text
        body = {
            "id": stream_id,
            "status": record.status if record else "queued",
            "visibility": "private" if chat.private else "unlisted",
            "tickets": tickets,
            "urls": urls_of(stream_id, **tickets),
        }
        headers = {**submitted.headers, "Location": urls_of(stream_id)["status"]}
        return JsonResponse(body, 201 if submitted.is_new else 200, headers=headers)

    return router
