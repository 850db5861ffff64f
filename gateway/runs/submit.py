"""Submit a run: check it against the limits, and queue the job once per idempotency key."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from contract.connection import Client
from contract.errors import BrokerFullError, BrokerUnavailableError
from contract.job_queue import JobQueue, Once, OnceUse, StorageLimits, Submission, Submitted
from contract.prompts import SCRIPT_PREFIX
from contract.run_record import read_run
from contract.stream_id import new_stream_id
from gateway.access.caller import Caller
from gateway.access.tickets import Scope, Ticket, Tickets
from gateway.http.errors import ApiError
from gateway.runs.chat_request import ChatRequest, digest_body, digest_idempotency_key
from gateway.runs.run_list import RunList

QUEUE_RETRY_AFTER_S = 5
STORAGE_RETRY_AFTER_S = 60
SUBMIT_PATIENCE_S = 2.0
SUBMIT_RETRY_S = 0.2
T = TypeVar("T")
MIN_KEPT_MS = 60_000
"""How long an answer that passes through is kept for the gateway that sends it."""


@dataclass(frozen=True, slots=True)
class SubmitLimits:
    """`prompt_chars`: how much text the messages of a request may contain. `waiting_runs`: how many runs may be queued.
    `ticket_s`: how long the control ticket of a run is valid. `key_ms`: how long an Idempotency-Key finds its run.
    `retry_ms`: how long the retry of a request without a key finds the run of that request. `storage`: what Redis may
    hold for a caller with a name."""

    prompt_chars: int
    waiting_runs: int
    ticket_s: int
    key_ms: int
    retry_ms: int
    storage: StorageLimits


class SubmittedRun(NamedTuple):
    """The stream to watch and its control ticket. `is_new`: False if an earlier request started it.

    Every response to the request must carry `headers`.
    """

    stream_id: str
    is_new: bool
    control: Ticket
    headers: Mapping[str, str]


class RunSubmitter:
    """The only way to start a run. `runs` lists the started runs, None if the list is off; `on_started` counts them."""

    def __init__(
        self,
        client: Client,
        queue: JobQueue,
        tickets: Tickets,
        *,
        runs: RunList | None,
        on_started: Callable[[], None],
        limits: SubmitLimits,
    ) -> None:
        self._client = client
        self._queue = queue
        self._tickets = tickets
        self._runs = runs
        self._on_started = on_started
        self._limits = limits

    async def submit(
        self, caller: Caller, chat: ChatRequest, key: str | None, retries: int | None = None
    ) -> SubmittedRun:
        """`key` is the caller's Idempotency-Key. `retries` counts how often the caller sent this request before; None
        if a request without a key always starts a run.

        Raises: ApiError, BrokerUnavailableError, BrokerRefusedError.
        """
        if not caller.may_use(chat.model):
            text = f"This key may not use the model '{chat.model[:128]}'."
            if not chat.model:
                text = "This key may not use the default model. Name one of its models in 'model'."
            raise ApiError(403, "model_not_allowed", text, type_="permission_error", param="model")
        if chat.prompt_chars > self._limits.prompt_chars:
            # OpenAI's code: clients that know it shorten the conversation and retry.
            limit = self._limits.prompt_chars
            field = "prompt" if chat.endpoint else "messages"
            text = f"The texts in '{field}' have {chat.prompt_chars} characters; at most {limit} are allowed."
            raise ApiError(400, "context_length_exceeded", text, param=field)
        once = self._identify(caller, chat, key, retries)
        partition = await _patiently(lambda: self._queue.choose_partition(once))
        stream_id = new_stream_id(private=chat.private, partition=partition)
        submission = Submission(
            stream_id,
            chat.request,
            chat.model,
            chat.policy,
            chat.digest,
            once,
            caller=caller.identity,
            max_at_once=caller.runs_at_once,
            response=chat.response,
            keep_ms=self._keep_ms(chat, key),
            endpoint=chat.endpoint,
            question=chat.question if chat.shows_question else "",
            keeps_prompts=self._lists(chat) and chat.model.startswith(SCRIPT_PREFIX),
            beginning=await chat.beginning(stream_id),
        )
        answer, found_id = await self._begin_and_queue(submission)
        if answer not in (Submitted.OK, Submitted.KNOWN):
            raise _to_api_error(answer, caller)
        is_new, stream_id = answer is Submitted.OK, found_id
        if is_new:
            self._on_started()
            if self._runs is not None and self._lists(chat):
                await self._runs.add(stream_id, chat.question)
        record = None if is_new else await read_run(self._client, stream_id)
        revoked = record.revoked if record else 0
        ticket = await self._tickets.give(stream_id, Scope.CONTROL, lifetime_s=self._limits.ticket_s, revoked=revoked)
        return SubmittedRun(stream_id, is_new, ticket, caller.headers)

    def _lists(self, chat: ChatRequest) -> bool:
        # A caller who wants nothing kept does not want the prompt in the list either.
        return self._runs is not None and not chat.endpoint and not chat.keep_ms

    async def _begin_and_queue(self, submission: Submission) -> tuple[Submitted, str]:
        """Also begins the log of a run that goes on from another one."""
        if not submission.beginning.lines:
            return await self._queue_run(submission)
        try:
            await self._queue.copy_record(submission.stream_id, submission.beginning)
        except BrokerFullError:
            await self._queue.delete(submission.stream_id)
            return Submitted.MEMORY, ""
        answer, stream_id = await self._queue_run(submission)
        if answer is not Submitted.OK:
            await self._queue.delete(submission.stream_id)
        return answer, stream_id

    def _keep_ms(self, chat: ChatRequest, key: str | None) -> int:
        """Nobody watches a pass-through call again: its answer, which may be large, is only kept for a retry."""
        is_for_retries = chat.endpoint and key is None
        return max(self._limits.retry_ms, MIN_KEPT_MS) if is_for_retries else chat.keep_ms

    def _identify(self, caller: Caller, chat: ChatRequest, key: str | None, retries: int | None) -> Once | None:
        """Raises: ApiError 400 for a malformed key."""
        if key is not None:
            return Once(digest_idempotency_key(key, caller.identity), OnceUse.KEY, self._limits.key_ms)
        if retries is None or not self._limits.retry_ms:
            return None
        digest = digest_body(chat.digest, caller.identity)
        return Once(digest, OnceUse.RETRY if retries else OnceUse.FIRST, self._limits.retry_ms)

    async def _queue_run(self, submission: Submission) -> tuple[Submitted, str]:
        """Tries again if Redis fails, because the run may be queued nevertheless. To submit the same id twice is safe,
        but a retry by the client would have a new id and start a second run."""
        storage = self._limits.storage
        if not submission.caller:
            # Callers without a name are all on this computer. One caller's limit would be that of the whole server.
            storage = replace(storage, caller_bytes=0)
        return await _patiently(lambda: self._queue.submit(submission, self._limits.waiting_runs, storage))


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Tries again for a short time. Raises: BrokerUnavailableError, and what else `ask` raises."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + SUBMIT_PATIENCE_S
    while True:
        try:
            return await ask()
        except BrokerUnavailableError:
            if clock() >= deadline:
                raise
        await asyncio.sleep(SUBMIT_RETRY_S)


def _to_api_error(answer: Submitted, caller: Caller) -> ApiError:
    if answer is Submitted.MISMATCH:
        text = "This Idempotency-Key was used with another body."
        return ApiError(422, "idempotency_mismatch", text, param="Idempotency-Key")
    headers = {"Retry-After": str(QUEUE_RETRY_AFTER_S), **caller.headers}
    if answer is Submitted.BUSY:
        text = f"No more than {caller.runs_at_once} runs at once are allowed. Nothing was started."
        return ApiError(429, "too_many_runs", text, type_="requests", headers=headers)
    if answer is Submitted.SHARE:
        text = "So many of your runs are waiting that others would find no room. Nothing was started."
        return ApiError(429, "too_many_runs", text, type_="requests", headers=headers)
    if answer is Submitted.BYTES:
        headers["Retry-After"] = str(STORAGE_RETRY_AFTER_S)
        text = "Your latest answers fill the space that you may use in the database. Nothing was started."
        return ApiError(429, "storage_limit_exceeded", text, type_="requests", headers=headers)
    if answer is Submitted.MEMORY:
        headers["Retry-After"] = str(STORAGE_RETRY_AFTER_S)
        text = "The database is nearly full. Nothing was started; answers in progress go on."
        return ApiError(503, "storage_full", text, type_="server_error", headers=headers)
    text = "Too many runs are waiting. Nothing was started."
    return ApiError(503, "queue_full", text, type_="server_error", headers=headers)
