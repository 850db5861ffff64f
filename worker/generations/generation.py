"""One worker's attempt at a job, from the claim to the `done` event.

The provider call has a task of its own, which is cancelled as soon as the run must stop, so that the provider stops at
once. Lines go to the outbox, and the publisher writes them.
"""

import asyncio
import json
import logging
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contract.backoff import Backoff
from contract.errors import BrokerRefusedError, BrokerUnavailableError, Code, RunError
from contract.event import Status
from contract.job_queue import Claim, Job, JobQueue, Lease, Verdict
from contract.questions import Parked, Questions
from contract.stream_log import WriteStatus
from worker.default_model import DefaultModel
from worker.generations.outbox import Outbox
from worker.generations.outcome import Timing, broker_unavailable, done_line, run_too_long, worker_failed, worker_lost
from worker.generations.provider_call import ProviderCall
from worker.generations.publisher import Publisher
from worker.model_timeouts import ModelTimeouts
from worker.outage import Outage
from worker.providers.errors import own_error, silent_provider
from worker.providers.source import LINGER_S, SILENT, ParkedError, ScriptAnswers, Source

logger = logging.getLogger(__name__)

FIRST_CLAIM_DELAY_S = 0.05
MAX_CLAIM_DELAY_S = 1.0
CLEANUP_TIMEOUT_S = 5.0
"""How long a cancelled source may take to end."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """Settings that all generations of a worker share. A limit of 0 means no limit."""

    worker: str
    attempts: int
    max_epochs: int
    answer_limit_bytes: int
    body_limit_bytes: int
    run_limit_s: float
    chunk_timeouts: ModelTimeouts
    broker_patience_s: float
    default_model: DefaultModel
    needs_finish_reason: bool
    parked_ms: int
    """How long a run that waits for a person is kept."""
    lease_ms: int


class Stop(StrEnum):
    """Why a run is stopped before its source ends."""

    CANCELLED = "cancelled"
    STALLED = "stalled"
    UNSTORED = "unstored"
    OVERDUE = "overdue"
    LEFT = "left"
    """The run no longer belongs to this worker, which must not write any more of it."""


class Generation:
    """Call `claim` once, then `run` once. `stop` may be called at any time, more than once."""

    def __init__(  # noqa: PLR0917 - created in one place
        self,
        job: Job,
        queue: JobQueue,
        publisher: Publisher,
        source: Source,
        scripts: ScriptAnswers,
        questions: Questions,
        options: GenerationOptions,
    ) -> None:
        self.job = job
        self.lease: Lease | None = None
        self._queue = queue
        self._publisher = publisher
        self._source = source
        self._scripts = scripts
        self._questions = questions
        self._options = options
        self._clock = asyncio.get_running_loop().time
        self._stop: Stop | None = None
        self._stopped = asyncio.Event()
        self._call = ProviderCall(
            job.stream_id,
            publisher,
            options.answer_limit_bytes,
            chunk_timeouts=options.chunk_timeouts,
            body_limit_bytes=options.body_limit_bytes,
            needs_finish_reason=options.needs_finish_reason,
        )
        self._outbox: Outbox | None = None
        self._claim = Claim(Verdict.GONE)
        self._claimed_at = 0.0

    async def claim(self, room: int) -> bool:
        """Gets the lease. Returns False if there is nothing to run. The process has room for `room` more runs."""
        self._claim = await self._claim_job(room)
        if self._claim.verdict is Verdict.GONE:
            return False
        self.lease = Lease(self.job, self._claim.epoch)
        self._claimed_at = self._clock()
        return not self._has_left

    async def run(self) -> None:
        """Returns once the run's `done` is written, or the run no longer belongs to this worker."""
        claim, stream_id = self._claim, self.job.stream_id
        outbox = Outbox(stream_id, claim.epoch, claim.next_seq, self.job.entry, self.on_write_status)
        self._outbox = outbox
        logger.info("run %s epoch %d: claimed (%s)", stream_id, claim.epoch, claim.verdict)
        try:
            status, error = await self._live(claim, outbox)
            if self._call.parked is not None:
                if await self._park(self._call.parked, outbox):
                    return
                status, error = self._judge(None)
            if not self._has_left:
                outbox.end(status, done_line(status, self._call.outcome, error, self._timing()))
                self._publisher.send(outbox)
            await self._publisher.settled(outbox)
            words = f"{status} {error.code if error else ''}" if outbox.has_ended and not self._has_left else "given up"
            logger.info("run %s epoch %d: %s", stream_id, claim.epoch, words)
        finally:
            outbox.close()
            self._publisher.forget(outbox)
            # It calls this generation back. The two would keep each other, and the request, in memory for long.
            self._outbox = None

    @property
    def _has_left(self) -> bool:
        return self._stop is Stop.LEFT

    def on_write_status(self, answer: WriteStatus) -> None:
        """Reacts to the status of a write or a renewal."""
        if answer is WriteStatus.CANCELLED:
            self.stop(Stop.CANCELLED)
        elif answer is WriteStatus.HOLE:
            # The log has a hole. The outbox has already put its own `done` in place of the remaining lines.
            self._stop = Stop.LEFT
            self._stopped.set()
        elif answer is not WriteStatus.OK:
            self.stop(Stop.LEFT)

    def stop(self, reason: Stop) -> None:
        """Ends the provider call at once. The first reason counts, except that LEFT replaces any other."""
        if self._stop is None or reason is Stop.LEFT:
            self._stop = reason
        self._stopped.set()
        if reason is Stop.LEFT and self._outbox is not None:
            self._outbox.close()
            self._publisher.forget(self._outbox)

    async def _claim_job(self, room: int) -> Claim:
        options, backoff = self._options, Backoff(FIRST_CLAIM_DELAY_S, MAX_CLAIM_DELAY_S)
        outage = Outage(logger, f"run {self.job.stream_id} cannot be claimed")
        while not self._has_left:
            try:
                limits = (options.attempts, options.max_epochs)
                return await self._queue.claim(self.job, options.worker, *limits, room=room, lease_ms=options.lease_ms)
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                outage.record(error)
            await asyncio.sleep(backoff.next_delay_s())
        return Claim(Verdict.GONE)

    async def _park(self, parked: ParkedError, outbox: Outbox) -> bool:
        """Ends the lease until a person answers. False if the run was cancelled: its end must be written."""
        stored = asyncio.create_task(self._publisher.confirmed(outbox))
        stopped = asyncio.create_task(self._stopped.wait())
        await asyncio.wait([stored, stopped], return_when=asyncio.FIRST_COMPLETED)
        stored.cancel()
        stopped.cancel()
        result = await self._leave_parked(parked)
        if result is Parked.CANCELLED:
            self.stop(Stop.CANCELLED)
        if self._stop not in (None, Stop.LEFT):
            return False
        logger.info("run %s: %s", self.job.stream_id, "parked" if result is Parked.OK else "goes on elsewhere")
        return True

    async def _leave_parked(self, parked: ParkedError) -> Parked | None:
        """None if the run was stopped meanwhile."""
        assert self.lease is not None
        options, backoff = self._options, Backoff(FIRST_CLAIM_DELAY_S, MAX_CLAIM_DELAY_S)
        outage = Outage(logger, f"run {self.job.stream_id} cannot be parked")
        while self._stop is None:
            try:
                return await self._questions.park(self.lease, options.parked_ms, parked.alarm_ms, parked.questions)
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                outage.record(error)
            await asyncio.sleep(backoff.next_delay_s())
        return None

    async def _live(self, claim: Claim, outbox: Outbox) -> tuple[Status, RunError | None]:
        if claim.verdict is Verdict.CANCELLED or self._stop is Stop.CANCELLED:
            return Status.CANCELLED, None
        if claim.verdict is Verdict.LOST:
            return Status.FAILED, worker_lost()
        call = asyncio.create_task(self._call_source(claim, outbox))
        stopped = asyncio.create_task(self._stopped.wait())
        watch = asyncio.create_task(self._watch(outbox))
        try:
            await asyncio.wait([call, stopped], return_when=asyncio.FIRST_COMPLETED)
            call.cancel(SILENT if self._stop is Stop.STALLED else None)
            # Do not make viewers wait for a source that does not end.
            await asyncio.wait([call], timeout=CLEANUP_TIMEOUT_S)
        finally:
            for task in (call, stopped, watch):
                task.cancel()
        if call.cancelled() and self._stop is None:
            logger.error("run %s: the generator has cancelled itself", self.job.stream_id)
            return self._judge(worker_failed())
        if not call.done():
            logger.warning("run %s: the generator does not end although it was cancelled", self.job.stream_id)
        return self._judge(call.result() if call.done() and not call.cancelled() else None)

    async def _call_source(self, claim: Claim, outbox: Outbox) -> RunError | None:
        request: dict[str, Any] = json.loads(claim.request)
        # The default is a model for chats. The provider has its own default, or none, for other calls.
        if "model" not in request and not claim.endpoint and (model := await self._options.default_model.find()):
            request["model"] = model
        if not claim.endpoint and self._scripts.answers(str(request.get("model", ""))):
            answer = self._scripts.run(request, self.job.stream_id, claim.epoch)
            return await self._call.run_script(answer, request, claim.epoch, outbox)
        return await self._call.run(self._source, request, claim.epoch, outbox, endpoint=claim.endpoint)

    def _judge(self, error: RunError | None) -> tuple[Status, RunError | None]:
        if self._stop is Stop.CANCELLED:
            return Status.CANCELLED, None
        if self._stop is Stop.UNSTORED:
            return Status.FAILED, broker_unavailable()
        if self._call.outcome.is_whole:
            if error is not None:
                said = "run %s was complete when its provider failed: %s"
                logger.info(said, self.job.stream_id, error.message)
            return Status.COMPLETED, None
        if self._stop is Stop.STALLED:
            return Status.FAILED, silent_provider(self._call.chunk_timeout_s)
        if self._stop is Stop.OVERDUE:
            return Status.FAILED, run_too_long(self._options.run_limit_s)
        if error is None and not self._call.outcome.is_finished:
            error = own_error(Code.UPSTREAM_TRUNCATED, "The provider ended without a finish_reason.")
        return (Status.COMPLETED, None) if error is None else (Status.FAILED, error)

    async def _watch(self, outbox: Outbox) -> None:
        """Stops a run that takes too long, whose provider is silent, or whose lines Redis refuses for too long."""
        run_limit_s = self._options.run_limit_s or math.inf
        look_s = min(1.0, self._options.broker_patience_s / 4 + 0.01, run_limit_s / 4)
        while True:
            # The model, and then the source, may change the timeout.
            chunk_timeout_s = self._call.chunk_timeout_s or math.inf
            await asyncio.sleep(min(look_s, chunk_timeout_s / 4))
            now = self._clock()
            refused_since = outbox.refused_since
            if refused_since is not None and now - refused_since > self._options.broker_patience_s:
                self.stop(Stop.UNSTORED)
            patience_s = chunk_timeout_s
            if self._call.outcome.is_whole:
                patience_s = min(patience_s, LINGER_S)
            if self._call.quiet_s(now) > patience_s:
                self.stop(Stop.STALLED)
            if now - self._claimed_at > run_limit_s:
                self.stop(Stop.OVERDUE)

    def _timing(self) -> Timing:
        first = self._call.first_words_at
        return {
            "queued_ms": self._claim.queued_ms,
            "first_chunk_ms": None if first is None else round((first - self._claimed_at) * 1000),
            "total_ms": round((self._clock() - self._claimed_at) * 1000),
            "pace": self._call.pace.seconds,
        }
