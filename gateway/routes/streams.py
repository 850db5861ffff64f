"""A run's status, its completion, its cancellation. docs/protocol.md, section 5, is the source."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from contract.connection import Client
from contract.job_queue import JobQueue
from contract.presence import read_viewers
from contract.run_record import RunRecord, read_run
from contract.stream_id import is_private
from contract.stream_log import StreamLog
from gateway.access.permissions import Permissions
from gateway.http.errors import ApiError
from gateway.http.stream_urls import check_stream_id, no_such_stream
from gateway.runs.describe import describe
from gateway.runs.read_completion import completion_response, read_completion

CANCEL_WAIT_S = 2.0
CANCEL_LOOK_S = 0.05


def streams_router(client: Client, permissions: Permissions, queue: JobQueue, log: StreamLog) -> APIRouter:
    """The routes, over these parts."""
    router = APIRouter(tags=["streams"])

    @router.get("/v1/streams/{stream_id}")
    async def status(stream_id: str, request: Request) -> dict[str, Any]:
        """What is known of the run."""
        await permissions.check_viewer(request, stream_id)
        record = await _find(client, stream_id)
        return {**describe(stream_id, record), "viewers": await read_viewers(client, stream_id)}

    @router.get("/v1/streams/{stream_id}/completion")
    async def completion(stream_id: str, request: Request) -> Response:
        """The finished `chat.completion`."""
        await permissions.check_viewer(request, stream_id)
        record = await _find(client, stream_id)
        if not record.status.is_final:
            raise ApiError(409, "not_finished", f"The run is {record.status}.", headers={"Retry-After": "1"})
        # What only some may see must not outlive their right in a browser that others use.
        kept = "no-store" if is_private(stream_id) else "private, max-age=31536000, immutable"
        headers = {"ETag": f'"{stream_id}.{record.last}"', "Cache-Control": kept}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        fold = await read_completion(log, stream_id)
        done = fold.done or {}
        if fold.is_empty:
            error = done.get("error") or {"message": f"The run was {record.status}.", "code": str(record.status)}
            raise ApiError(409, str(error["code"]), str(error["message"]), type_=str(error.get("type", "server_error")))
        how = {"stream": stream_id, "status": record.status, "error": done.get("error"), "timing": done.get("timing")}
        return completion_response({**fold.result(), "manycast": how}, headers)

    @router.post("/v1/streams/{stream_id}/cancel")
    async def cancel(stream_id: str, request: Request) -> dict[str, str]:
        """Stops the run, wherever it is. Answers when it has ended, or after a short wait."""
        await permissions.check_control(request, stream_id)
        answer = await queue.cancel(stream_id)
        for _ in range(round(CANCEL_WAIT_S / CANCEL_LOOK_S)):
            if answer != "cancelling":
                break
            await asyncio.sleep(CANCEL_LOOK_S)
            record = await read_run(client, stream_id)
            if record is None or record.status.is_final:
                answer = record.status if record else None
        if answer is None:
            raise no_such_stream(stream_id)
        return {"id": stream_id, "status": str(answer)}

    return router


async def _find(client: Client, stream_id: str) -> RunRecord:
    record = await read_run(client, check_stream_id(stream_id))
    if record is None:
        raise no_such_stream(stream_id)
    return record
