"""Calls on one run: read its status or completion, cancel it, delete it. docs/protocol.md, section 5, defines them."""

import time
from contextlib import AsyncExitStack
from functools import partial

from fastapi import FastAPI, Request
from starlette.responses import Response

from contract.connection import Client
from contract.event import encode_json
from contract.job_queue import JobQueue
from contract.presence import read_viewers
from contract.run_record import RunRecord, read_question, read_run
from contract.stream_id import is_private
from contract.stream_log import StreamLog
from gateway.access.audience import Audience
from gateway.access.authenticator import Authenticator
from gateway.access.permissions import Permissions
from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse
from gateway.http.large_body import LargeBody
from gateway.http.root_path import prefix_of
from gateway.http.run_errors import public_error
from gateway.http.stream_urls import check_stream_id, no_such_stream
from gateway.routes.models import CancelledRun, Completion, DeletedRun, IfNoneMatch, StreamIdPath
from gateway.routes.openapi import ACCESS_ERRORS, document
from gateway.runs.cancel import cancel_run
from gateway.runs.completion_cache import CompletionCache
from gateway.runs.describe import WatchedRun, describe
from gateway.runs.read_completion import fold_completion


class StreamRoutes:
    """Calls on one run."""

    def __init__(
        self,
        client: Client,
        authenticator: Authenticator,
        permissions: Permissions,
        *,
        queue: JobQueue,
        log: StreamLog,
        completions: CompletionCache,
    ) -> None:
        self._client = client
        self._authenticator = authenticator
        self._permissions = permissions
        self._queue = queue
        self._log = log
        self._completions = completions

    def register(self, app: FastAPI) -> None:
        path = "/v1/streams/{stream_id}"
        app.add_api_route(
            path,
            self.status,
            methods=["GET"],
            response_model=WatchedRun,
            **document("readRun", tag="streams", takes_ticket=True, errors=ACCESS_ERRORS),
        )
        app.add_api_route(
            path,
            self.delete,
            methods=["DELETE"],
            response_model=DeletedRun,
            **document("deleteRun", tag="streams", takes_ticket=True, errors=ACCESS_ERRORS),
        )
        app.add_api_route(
            f"{path}/completion",
            self.completion,
            methods=["GET"],
            response_model=Completion,
            **document(
                "readCompletion",
                tag="streams",
                takes_ticket=True,
                errors=(*ACCESS_ERRORS, 409, 429),
                responses={304: {"description": "Not Modified"}},
            ),
        )
        app.add_api_route(
            f"{path}/cancel",
            self.cancel,
            methods=["POST"],
            response_model=CancelledRun,
            **document("cancelRun", tag="streams", takes_ticket=True, errors=ACCESS_ERRORS),
        )

    async def status(self, stream_id: StreamIdPath, request: Request) -> JsonResponse:
        """The run's state."""
        await self._permissions.check_viewer(request, stream_id)
        record = await self._find(stream_id)
        viewers = await read_viewers(self._client, stream_id)
        audience = await self._permissions.find_audience(request, stream_id)
        run = describe(stream_id, record, viewers, prefix_of(request), audience)
        question = await read_question(self._client, stream_id)
        return JsonResponse(WatchedRun(**dict(run), question=question or None))

    async def delete(self, stream_id: StreamIdPath, request: Request) -> JsonResponse:
        """Deletes the run with everything that is kept of it. One that is still being written stops."""
        await self._permissions.check_control(request, stream_id)
        await self._queue.delete(stream_id)
        return JsonResponse({"id": stream_id, "deleted": True})

    async def completion(
        self, stream_id: StreamIdPath, request: Request, if_none_match: IfNoneMatch = None
    ) -> Response:
        """The finished `chat.completion`."""
        await self._permissions.check_viewer(request, stream_id)
        record = await self._find(stream_id)
        if record.endpoint:
            text = f"This run is a call of /v1/{record.endpoint}, which is answered only to its caller."
            raise ApiError(409, "not_a_chat", text)
        if not record.status.is_final:
            raise ApiError(409, "not_finished", f"The run is {record.status}.", headers={"Retry-After": "1"})
        # The cache of a shared browser must not show a private answer to a person without a ticket.
        is_kept = not is_private(stream_id)
        cache_control = f"private, max-age={_lifetime_s(record)}, immutable" if is_kept else "no-store"
        headers = {"ETag": f'"{stream_id}.{record.last}"', "Cache-Control": cache_control}
        if if_none_match == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        await self._authenticator.check_reading_rate(request)
        async with AsyncExitStack() as holding:
            folded = await holding.enter_async_context(
                self._completions.use(
                    (stream_id, record.last), partial(fold_completion, self._log, stream_id, record.last)
                )
            )
            done = folded.done
            error = done.get("error")
            if error and await self._permissions.find_audience(request, stream_id) is Audience.PUBLIC:
                error = public_error(error)
            if folded.body is None:
                error = error or {"message": f"The run was {record.status}.", "code": str(record.status)}
                type_ = str(error.get("type", "server_error"))
                raise ApiError(409, str(error["code"]), str(error["message"]), type_=type_)
            ours = {
                "stream": stream_id,
                "status": record.status,
                "error": error,
                "timing": done.get("timing"),
            }
            # The completion is shared by all requests, so it is not copied to add our field to it.
            parts = (folded.body[:-1], b',"manycast":' + encode_json(ours) + b"}")
            return LargeBody(parts, holding.pop_all(), headers)

    async def cancel(self, stream_id: StreamIdPath, request: Request) -> JsonResponse:
        """Stops the run. Answers when it has ended, or after a short wait."""
        await self._permissions.check_control(request, stream_id)
        answer = await cancel_run(self._client, self._queue, stream_id)
        if answer is None:
            raise no_such_stream(stream_id)
        return JsonResponse({"id": stream_id, "status": answer})

    async def _find(self, stream_id: str) -> RunRecord:
        record = await read_run(self._client, check_stream_id(stream_id))
        if record is None:
            raise no_such_stream(stream_id)
        return record


def _lifetime_s(record: RunRecord) -> int:
    """How many seconds this server still keeps the run. No cache may keep it longer."""
    return max(0, int(record.expires_ms / 1000 - time.time()))
