"""`POST /v1/streams`: a run is started. docs/protocol.md, section 5, is the source."""

import secrets

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from contract.connection import Client
from contract.job_queue import JobQueue, Submission, Submitted
from contract.run_record import read_run
from gateway.addresses import urls_of
from gateway.api_error import ApiError
from gateway.chat_request import digest_idempotency_key, parse_chat_request
from gateway.metrics import Metrics

QUEUE_RETRY_AFTER_S = 5


def start_router(
    client: Client, queue: JobQueue, metrics: Metrics, body_limit_bytes: int, queue_limit: int
) -> APIRouter:
    """The route, over these parts."""
    router = APIRouter(tags=["streams"])

    @router.post("/v1/streams", status_code=201)
    async def start(request: Request) -> JSONResponse:
        """Queues a run. The body is OpenAI's chat-completions request."""
        chat = parse_chat_request(await read_body(request, body_limit_bytes))
        once = digest_idempotency_key(request.headers.get("idempotency-key"))
        stream_id = secrets.token_urlsafe(16)
        submission = Submission(stream_id, chat.request, chat.model, chat.on_worker_lost, chat.digest, once)
        answer, stream_id = await queue.submit(submission, queue_limit)
        if answer is Submitted.FULL:
            headers = {"Retry-After": str(QUEUE_RETRY_AFTER_S)}
            message = "Too many runs wait already. Nothing was started."
            raise ApiError(503, "queue_full", message, type_="server_error", headers=headers)
        if answer is Submitted.MISMATCH:
            message = "This Idempotency-Key was used with another body."
            raise ApiError(422, "idempotency_mismatch", message, param="Idempotency-Key")
        metrics.runs_started.inc(answer is Submitted.OK)
        record = await read_run(client, stream_id)
        urls = urls_of(stream_id)
        body = {"id": stream_id, "status": record.status if record else "queued", "urls": urls}
        return JSONResponse(body, 201 if answer is Submitted.OK else 200, headers={"Location": urls["status"]})

    return router


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Raises: ApiError 413 as soon as it is too large, however much the caller would still send."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit_bytes:
            raise ApiError(413, "body_too_large", f"The body is larger than {limit_bytes} bytes.")
    return bytes(body)
