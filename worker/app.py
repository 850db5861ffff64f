"""The composition root: builds a worker, starts it and shuts it down."""

import asyncio
import gc
import logging
import os
import secrets
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from contract.connection import blocking_client, command_client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.job_queue import Job, JobQueue
from contract.keys import KeySpace
from contract.prompts import Prompts
from contract.questions import Questions
from contract.rights import report_missing_rights
from contract.stream_log import StreamLog
from contract.subscription import Subscription
from worker.default_model import DefaultModel
from worker.generations.generation import Generation, GenerationOptions
from worker.generations.pool import GenerationPool
from worker.generations.publisher import Publisher
from worker.health import host_prefix
from worker.jobs.alarm_clock import AlarmClock
from worker.jobs.connectivity import Connectivity
from worker.jobs.control_listener import ControlListener
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.job_reader import JobReader
from worker.jobs.registration import Registration
from worker.jobs.taker import Intake
from worker.providers.source import Source
from worker.scripts.loader import Scripts
from worker.scripts.loop_watch import LoopWatch
from worker.scripts.own_tasks import contain_own_tasks
from worker.scripts.provider_calls import ProviderCalls
from worker.scripts.script_runner import ScriptRunner
from worker.settings import Settings

logger = logging.getLogger(__name__)

WATCHDOG_S = 2.0
# Up to a third of a lease passes between renewals. That third and this share must stay below the share
# of a lease that `Intake.overdue_after_ms` waits (worker/jobs/taker.py).
CONTACT_GAP_SHARE = 0.55
FAREWELL_TIMEOUT_S = 2.0
GARBAGE_OBJECTS = 20_000
"""Python looks for garbage when so many more objects were made than freed. They take some megabytes."""


def worker_name() -> str:
    """A unique name. Under the name of a dead worker, this worker would be mistaken for the dead one."""
    return f"{host_prefix()}{os.getpid()}:{secrets.token_hex(3)}"


class Worker:
    """All parts of one worker process. Must be created inside the running event loop."""

    def __init__(self, settings: Settings, source: Source, scripts: Scripts) -> None:
        self.name = worker_name()
        self._grace_s = settings.grace_s
        self._source = source
        keys = KeySpace(settings.prefix, settings.partitions)
        self._commands = command_client(settings.redis_url, keys)
        # Writes and renewals of current runs must not queue behind the claims of new ones.
        self._writes = command_client(settings.redis_url, keys, connections=2, routes=self._commands.routes)
        self._blocking = blocking_client(settings.redis_url, keys, self._commands.routes)
        self._queue = JobQueue(self._commands, settings.retention_s * 1000)
        log = self._log = StreamLog(self._writes, settings.retention_s * 1000, settings.failed_retention_s * 1000)
        self._publisher = Publisher(log, settings.unsent_limit_bytes)
        default_model = DefaultModel(settings.fixed_default_model)
        self._options = GenerationOptions(
            worker=self.name,
            attempts=settings.attempts,
            max_epochs=settings.most_epochs,
            answer_limit_bytes=settings.answer_limit_bytes,
            body_limit_bytes=settings.pass_through_limit_bytes,
            run_limit_s=settings.run_limit_s,
            chunk_timeouts=settings.silence_after_first_chunk,
            broker_patience_s=settings.broker_patience_s,
            default_model=default_model,
            needs_finish_reason=settings.strict_finish,
            parked_ms=settings.parked_s * 1000,
            lease_ms=round(settings.lease_s * 1000),
        )
        calls = ProviderCalls(source, default_model, settings.silence_after_first_chunk, settings.strict_finish)
        self._questions = Questions(self._commands)
        prompts = Prompts(self._commands)
        self._scripts = ScriptRunner(
            scripts, calls, log, self._questions, prompts, settings.script_calls, settings.script_changed == "restart"
        )
        self._alarm_clock = AlarmClock(self._questions)
        self._loop_watch = LoopWatch(scripts)
        self._pool = GenerationPool(settings.worker_streams, self._make_generation)
        connectivity = Connectivity(settings.lease_s * CONTACT_GAP_SHARE)
        renewing = JobQueue(self._writes, settings.retention_s * 1000)
        self._heartbeat = Heartbeat(renewing, self._pool, connectivity, self.name, settings.lease_s)
        intake = Intake(self._queue, self._pool, connectivity, self.name, settings.lease_s)
        self._reader = JobReader(intake, self._blocking)
        control = ControlListener(self._pool, self._reader, self._heartbeat)
        self._subscription = Subscription(settings.redis_url, control, WATCHDOG_S, self._commands.routes)
        self._subscription.want_everywhere(keys.control)
        self._registration = Registration(
            self._commands, source, self.name, default_model, settings.own_generator, self._scripts.models, self._pool
        )

    def _make_generation(self, job: Job) -> Generation:
        return Generation(
            job, self._queue, self._publisher, self._source, self._scripts, self._questions, self._options
        )

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """Works until `stop` is set, then shuts down in order; `hurry` cuts the grace period short.

        Raises: the error of a background task that failed. The process must then be restarted.
        """
        logger.info("worker %s started", self.name)
        reporting = asyncio.create_task(report_missing_rights(self._commands))
        lasting = [_start(part.run) for part in (self._publisher, self._heartbeat, self._subscription)]
        taking = [_start(part.run) for part in (self._reader, self._registration)]
        if self._scripts.scripts:
            # Workers without scripts park nothing.
            taking.append(_start(self._alarm_clock.run))
            contain_own_tasks()
        stopping = _start(stop.wait)
        _collect_garbage_less_often()
        with self._loop_watch.watching():
            await asyncio.wait([stopping, *lasting, *taking], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        reporting.cancel()
        failed = [task for task in (*lasting, *taking) if task.done()]
        for task in failed:
            logger.critical("background task %s failed: shutting this worker down", task.get_name())
        await self._end(lasting, taking, hurry)
        for task in failed:
            task.result()

    async def _end(
        self, lasting: list[asyncio.Task[Any]], taking: list[asyncio.Task[Any]], hurry: asyncio.Event
    ) -> None:
        await _cancel(taking)
        await self._reader.collect()
        logger.info("worker %s takes no more jobs; %d runs go on", self.name, len(self._pool.generations))
        await self._registration.leave()
        await self._pool.finish(self._grace_s, hurry)
        await self._pool.give_back(self._queue, self.name)
        await _cancel(lasting)
        await self._log.settled()
        await self._forget_me()
        await self._source.close()
        await self._writes.aclose()
        await self._commands.aclose()
        await self._blocking.aclose()
        logger.info("worker %s has ended", self.name)

    async def _forget_me(self) -> None:
        """Removes our name from the consumer group, unless released jobs are still pending under it."""
        try:
            async with asyncio.timeout(FAREWELL_TIMEOUT_S):
                await self._queue.forget_worker(self.name)
        except (BrokerUnavailableError, BrokerRefusedError, TimeoutError):
            logger.debug("Redis is unavailable: the name of this worker stays in the consumer group")


def _collect_garbage_less_often() -> None:
    """Each run makes some hundred objects that live as long as it does. To look through them at Python's usual pace
    takes an eighth of the CPU when a thousand runs begin together."""
    # Objects created at start-up live forever; exclude them from the search.
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, *gc.get_threshold()[1:])


def _start(duty: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
    return asyncio.create_task(duty(), name=duty.__qualname__)


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run_worker(settings: Settings, source: Source, scripts: Scripts, lifeline: int | None = None) -> None:
    """Runs until SIGTERM or SIGINT. A second signal cuts the grace period short. Raises: as Worker.run.

    One of several processes has a `lifeline`, a file descriptor that reaches end of file when their parent dies. It
    ignores SIGINT, which a terminal sends to all of them: the parent passes it on as SIGTERM.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    def on_parents_death(lifeline: int) -> None:
        loop.remove_reader(lifeline)
        stop.set()
        hurry.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, on_signal)
    if lifeline is None:
        loop.add_signal_handler(signal.SIGINT, on_signal)
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        loop.add_reader(lifeline, on_parents_death, lifeline)
    await Worker(settings, source, scripts).run(stop, hurry)
