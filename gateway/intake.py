"""How a run comes in, whatever the call: the body is read, and the job is queued once per idempotency key."""

import asyncio
import secrets
from typing import NamedTuple

from fastapi import Request

from contract.errors import BrokerUnavailableError
from contract.job_queue import JobQueue, Submission, Submitted
from gateway.api_error import ApiError
from gateway.chat_request import ChatRequest, digest_idempotency_key
from gateway.metrics import Metrics
from gateway.run_list import RunList

QUEUE_RETRY_AFTER_S = 5
SUBMIT_PATIENCE_S = 2.0
SUBMIT_AGAIN_S = 0.2


class Admission(NamedTuple):
    """The stream to watch; whether this request began it, or an earlier one with the same key."""

    stream_id: str
    is_new: bool
    has_key: bool


class Intake:
    """The one way in. `runs`: where they are listed, if anywhere. `queue_limit` is how many runs may wait."""

    def __init__(
        self, queue: JobQueue, runs: RunList | None, metrics: Metrics, body_limit_bytes: int, queue_limit: int
    ) -> None:
        self._queue = queue
        self._runs = runs
        self._metrics = metrics
        self._body_limit_bytes = body_limit_bytes
        self._queue_limit = queue_limit

    async def read(self, request: Request) -> bytes:
        """Raises: ApiError 413 as soon as it is too large, however much the caller would still send."""
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > self._body_limit_bytes:
                raise ApiError(413, "body_too_large", f"The body is larger than {self._body_limit_bytes} bytes.")
        return bytes(body)

    async def submit(self, chat: ChatRequest, key: str | None) -> Admission:
        """`key` is the caller's Idempotency-Key. Raises: ApiError, BrokerUnavailableError, BrokerRefusedError."""
        once = digest_idempotency_key(key)
        stream_id = secrets.token_urlsafe(16)
        submission = Submission(stream_id, chat.request, chat.model, chat.policy, chat.digest, once)
        answer, stream_id = await self._queue_run(submission)
        if answer is Submitted.FULL:
            headers = {"Retry-After": str(QUEUE_RETRY_AFTER_S)}
            text = "Too many runs wait already. Nothing was started."
            raise ApiError(503, "queue_full", text, type_="server_error", headers=headers)
        if answer is Submitted.MISMATCH:
            text = "This Idempotency-Key was used with another body."
            raise ApiError(422, "idempotency_mismatch", text, param="Idempotency-Key")
        self._metrics.runs_started.inc(answer is Submitted.OK)
        if self._runs is not None and answer is Submitted.OK:
            await self._runs.note(stream_id, chat.request)
        return Admission(stream_id, answer is Submitted.OK, once is not None)

    async def _queue_run(self, submission: Submission) -> tuple[Submitted, str]:
        """Where Redis fails, nobody knows whether the run is queued. The same submission once more does no harm; the
        client's own retry would be a second run."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + SUBMIT_PATIENCE_S
        while True:
            try:
                return await self._queue.submit(submission, self._queue_limit)
            except BrokerUnavailableError:
                if clock() >= deadline:
                    raise
            await asyncio.sleep(SUBMIT_AGAIN_S)
