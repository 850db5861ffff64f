"""Runs scripts as sources: what a script does becomes items that the generation writes into the log."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from contract.backoff import Backoff
from contract.errors import SERVER_ERROR, BrokerRefusedError, BrokerUnavailableError, Code, RunError, RunFailedError
from contract.event import Chunk, Kind, merge_chunk, parse_json
from contract.passed import FIELD, take_passed
from contract.position import START
from contract.prompts import SCRIPT_PREFIX, Prompts
from contract.questions import Questions
from contract.stream_log import StreamLog, WriteStatus
from contract.worker_registry import Model
from manycast.script import GenerationError, Script, ScriptChangedError, ScriptError, ScriptLimitError
from manycast.script.host import Entry
from manycast.script.perform import perform
from manycast.script.record import CHANGED
from worker.outage import Outage
from worker.providers.errors import unknown_model
from worker.providers.source import Answer, ChunkTimeout, LogEntry, ParkedError
from worker.scripts.fault import author_traceback, describe_fault
from worker.scripts.loader import Scripts
from worker.scripts.provider_calls import ProviderCalls, failed_generation

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 1.0
LOOK_EVERY_S = 0.5
"""How often a run that cannot be parked, because other parts of it go on, looks for an answer."""
_CODES = {ScriptLimitError: Code.SCRIPT_LIMIT, ScriptChangedError: Code.SCRIPT_CHANGED}


@dataclass(frozen=True, slots=True)
class ScriptRunner:
    """All scripts of a worker. `log` is read when a run is taken over; `max_calls` is the bound of one run."""

    scripts: Scripts
    calls: ProviderCalls
    log: StreamLog
    questions: Questions
    prompts: Prompts
    max_calls: int
    begins_again: bool
    """Whether a run whose script has changed begins again, instead of failing."""

    @property
    def models(self) -> tuple[Model, ...]:
        """The scripts, in the form in which `/v1/models` lists models."""
        return tuple(Model(f"{SCRIPT_PREFIX}{name}", "script", 0) for name in self.scripts)

    def answers(self, model: str) -> bool:
        """See ScriptAnswers. A worker without scripts must not ask a provider for a script's model either: claim.lua
        relies on it."""
        return model.startswith(SCRIPT_PREFIX)

    async def run(self, request: dict[str, Any], stream_id: str, epoch: int) -> Answer:
        """The answer to a request whose model is a script, as a source gives it. Raises: RunFailedError."""
        name = str(request["model"])[len(SCRIPT_PREFIX) :]
        script = self.scripts.get(name)
        if script is None:
            there = ", ".join(f"{SCRIPT_PREFIX}{one}" for one in self.scripts) or "none (MANYCAST_SCRIPTS is not set)"
            raise RunFailedError(unknown_model(f"There is no script '{name[:128]}'. There are: {there}."))
        # A script may wait for more than providers. Its calls of providers have their own timeouts.
        yield ChunkTimeout(0)
        past, head = await self._read_past(stream_id, epoch)
        if not head:
            made = {"created": int(time.time()), "model": request["model"]}
            head = {"id": f"chatcmpl-{stream_id}", "object": "chat.completion.chunk", **made}
        job = _Job(script, request, stream_id, epoch, head)
        try:
            async with aclosing(self._perform(job, past)) as items:
                async for item in items:
                    yield item
        except RunFailedError as failure:
            if failure.error.code != Code.SCRIPT_CHANGED or not self.begins_again:
                raise
            logger.info("run %s begins again: %s", stream_id, failure.error.message)
            await _insist(stream_id, lambda: self.questions.forget(stream_id, epoch))
            yield LogEntry(Kind.RESTART, {"epoch": epoch, "reason": CHANGED}, waits=True)
            async with aclosing(self._perform(job, [])) as items:
                async for item in items:
                    yield item

    async def _perform(self, job: "_Job", past: list[Entry]) -> Answer:
        """Runs the script from where `past` ends. Raises: RunFailedError, ParkedError."""
        body, rest = take_passed(job.request)
        passed = {FIELD: {"headers": rest.headers, "query": rest.query}} if FIELD in job.request else {}
        host = _Host(job.stream_id, job.epoch, self.calls, self.questions, self.prompts)
        performance = perform(
            job.script,
            body,
            host,
            head=job.head,
            past=past,
            max_calls=self.max_calls,
            passed=passed,
            prompts=rest.prompts,
        )
        task = asyncio.create_task(_guard(performance, job.script, job.stream_id))
        task.add_done_callback(lambda _: host.end())
        try:
            while (item := await host.next_item()) is not None:
                if isinstance(item, ParkedError):
                    raise item
                yield item
                host.note_written()
            if task.cancelled():
                # The script has cancelled itself: whoever stops a run does not get here.
                raise _unexpected(asyncio.CancelledError(), job.script)
            task.result()
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _read_past(self, stream_id: str, epoch: int) -> tuple[list[Entry], Chunk]:
        """What earlier attempts wrote, and the fields of the answer's chunks; empty if they wrote nothing.

        Does not return if a later attempt has begun, or the run is over, because this one must pay for nothing any
        more: a claim that was confirmed late, during a failover of Redis, may be lost by then. The heartbeat then
        cancels the attempt.
        """
        backoff, outage = Backoff(FIRST_DELAY_S, MAX_DELAY_S), Outage(logger, f"run {stream_id} cannot be begun")
        while True:
            try:
                past, head = await self._read_log(stream_id) if epoch > 1 else ([], {})
                if await self.log.is_open_for(stream_id, epoch):
                    return past, head
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                outage.record(error)
            await asyncio.sleep(backoff.next_delay_s())

    async def _read_log(self, stream_id: str) -> tuple[list[Entry], Chunk]:
        past: list[Entry] = []
        shared: Chunk = {}
        async for event in self.log.read(stream_id, START):
            data = parse_json(event.data)
            if event.kind is Kind.START:
                shared = data["chunk"]
            else:
                past.append(Entry(event.kind, merge_chunk(shared, data) if event.kind is Kind.CHUNK else data))
        kept = ("id", "object", "created", "model")
        return past, {name: shared[name] for name in kept if name in shared}


@dataclass(frozen=True, slots=True)
class _Job:
    """What the attempts of one epoch share. `head`: the fields of each chunk of the answer."""

    script: Script[Any]
    request: dict[str, Any]
    stream_id: str
    epoch: int
    head: Chunk


class _Host:
    """The host of one run (manycast.script.host). Hands what the script does to `ScriptRunner.run`, one by one."""

    def __init__(self, run_id: str, epoch: int, calls: ProviderCalls, questions: Questions, prompts: Prompts) -> None:
        self.run_id = run_id
        self._epoch = epoch
        self._calls = calls
        self._questions = questions
        self._prompts = prompts
        self._keeps_prompts = True
        self._open: dict[str, float | None] = {}
        """The ids of the questions that wait for an answer, and until when."""
        self._items: asyncio.Queue[tuple[Chunk | LogEntry, asyncio.Future[None]] | ParkedError | None] = asyncio.Queue()
        self._written: asyncio.Future[None] | None = None

    def generate(self, request: dict[str, Any], name: str) -> AsyncGenerator[Chunk, None]:  # noqa: ARG002 - for tests
        return self._calls.generate(request, self.run_id)

    async def keep_prompt(self, step_id: str, messages: Sequence[dict[str, Any]]) -> None:
        if not self._keeps_prompts:
            return
        try:
            self._keeps_prompts = await self._prompts.keep(self.run_id, self._epoch, step_id, messages)
        except (BrokerUnavailableError, BrokerRefusedError, ValueError, TypeError) as error:
            # The run itself does not need the kept prompt. If the messages are not JSON, the provider call reports it.
            logger.info("run %s: the prompt of step %s is not kept: %s", self.run_id, step_id, error)

    async def write(self, entry: Entry) -> None:
        await self._hand_over(entry, waits=False)

    async def store(self, entry: Entry) -> None:
        await self._hand_over(entry, waits=True)

    async def open(self, question: dict[str, Any], refused: str) -> None:
        await self._ask(question, refused)

    async def ask(self, question: dict[str, Any], is_idle: Callable[[], bool]) -> str | None:
        place, expires_at = question["id"], question["expires_at"]
        self._open[place] = expires_at
        try:
            while True:
                # The status is ignored: if the lease is lost, the generation ends this attempt.
                _, answer = await self._ask(question, "")
                if not answer and expires_at is not None and time.time() >= expires_at:
                    _, answer = await _insist(
                        self.run_id, lambda: self._questions.close(self.run_id, self._epoch, place)
                    )
                    return answer or None
                if answer:
                    return answer
                if is_idle():
                    self._park()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            del self._open[place]

    async def _ask(self, question: dict[str, Any], refused: str) -> tuple[WriteStatus, str]:
        return await _insist(self.run_id, lambda: self._questions.ask(self.run_id, self._epoch, question, refused))

    def _park(self) -> None:
        ends = [expires_at for expires_at in self._open.values() if expires_at is not None]
        self._items.put_nowait(ParkedError(tuple(self._open), math.ceil(min(ends) * 1000) if ends else 0))

    def now(self) -> float:
        return time.time()

    async def _hand_over(self, entry: Entry, *, waits: bool) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        item: Chunk | LogEntry = entry.data
        if entry.kind == Kind.RESTART:
            item = LogEntry(Kind.RESTART, {"epoch": self._epoch, "reason": "step_restarted"}, waits)
        elif entry.kind != Kind.CHUNK:
            item = LogEntry(Kind(entry.kind), entry.data, waits)
        self._items.put_nowait((item, written))
        await written

    async def next_item(self) -> Chunk | LogEntry | ParkedError | None:
        """None after the end of the script."""
        handed = await self._items.get()
        if handed is None or isinstance(handed, ParkedError):
            return handed
        item, self._written = handed
        return item

    def note_written(self) -> None:
        """The last item has been written."""
        # A part of the script may have been cancelled while it waited.
        if self._written is not None and not self._written.done():
            self._written.set_result(None)

    def end(self) -> None:
        self._items.put_nowait(None)


async def _insist(run_id: str, call: Callable[[], Awaitable[T]]) -> T:
    """Repeats a call until Redis answers."""
    backoff, outage = Backoff(FIRST_DELAY_S, MAX_DELAY_S), Outage(logger, f"run {run_id} cannot ask")
    while True:
        try:
            return await call()
        except (BrokerUnavailableError, BrokerRefusedError) as error:
            outage.record(error)
        await asyncio.sleep(backoff.next_delay_s())


async def _guard(performance: Any, script: Script[Any], stream_id: str) -> None:
    """Raises: RunFailedError for whatever the script raises."""
    try:
        await performance
    except GenerationError as failure:
        raise RunFailedError(failed_generation(failure)) from failure
    except ScriptError as error:
        logger.info("run %s: script '%s' has failed: %s", stream_id, script.name, error)
        code = _CODES.get(type(error), Code.SCRIPT_FAILED)
        raise RunFailedError(RunError(code.value, str(error), SERVER_ERROR)) from error
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        # A SystemExit or a KeyboardInterrupt would end the worker, and others would leave the run without an end.
        fault = describe_fault(error, script)
        traceback = (type(error), error, author_traceback(error, script))
        logger.exception("run %s: script '%s' failed at %s", stream_id, script.name, fault, exc_info=traceback)
        raise _unexpected(error, script) from error


def _unexpected(error: BaseException, script: Script[Any]) -> RunFailedError:
    text = f"The script '{script.name}' failed ({type(error).__name__}). The worker's log has the reason."
    return RunFailedError(RunError(Code.SCRIPT_ERROR.value, text, SERVER_ERROR))
