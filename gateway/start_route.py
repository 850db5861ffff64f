"""`POST /v1/streams`: a run is started. docs/protocol.md, section 5, is the source."""

from fastapi import APIRouter, Request

from contract.connection import Client
from contract.run_record import read_run
from gateway.addresses import urls_of
from gateway.chat_request import parse_chat_request
from gateway.intake import Intake
from gateway.json_response import JsonResponse


def start_router(client: Client, intake: Intake) -> APIRouter:
    """The route, over these parts."""
    router = APIRouter(tags=["streams"])

    @router.post("/v1/streams", status_code=201)
    async def start(request: Request) -> JsonResponse:
        """Queues a run. The body is OpenAI's chat-completions request."""
        chat = parse_chat_request(await intake.read(request))
        admission = await intake.submit(chat, request.headers.get("idempotency-key"))
        record = await read_run(client, admission.stream_id)
        urls = urls_of(admission.stream_id)
        body = {"id": admission.stream_id, "status": record.status if record else "queued", "urls": urls}
        return JsonResponse(body, 201 if admission.is_new else 200, headers={"Location": urls["status"]})

    return router
