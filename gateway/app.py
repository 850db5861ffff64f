"""The composition root: builds a gateway's parts and connects them."""

import asyncio
import logging
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from fastapi import FastAPI
from starlette.types import ASGIApp

from contract.connection import Client, command_client
from contract.job_queue import JobQueue, StorageLimits
from contract.keys import KeySpace
from contract.partitions import keep_agreement
from contract.questions import Questions
from contract.rights import report_missing_rights
from contract.stream_log import StreamLog
from gateway.access.own_pages import OwnPagesOnly
from gateway.access.own_proxy import OwnProxyOnly
from gateway.access.path_prefix import PathPrefix
from gateway.access.request_source import Proxies, read_source
from gateway.access.served_hosts import ServedHosts, ServedHostsOnly
from gateway.access.setup import build_access
from gateway.fanout.hub import Hub, HubLimits
from gateway.fanout.local_viewers import LocalViewers, ViewerLimits
from gateway.fanout.responses import Respond, choose_response
from gateway.fanout.silent_workers import SilentWorkers
from gateway.http.body import BodyBudget
from gateway.http.errors import answer_errors, explain_no_such_path
from gateway.http.json_response import JsonResponse
from gateway.http.memory_budget import MemoryBudget
from gateway.http.middleware import add_middleware, parse_origins
from gateway.http.run_errors import answer_lost_logs
from gateway.http.security_log import SecurityLog
from gateway.metrics import Metrics
from gateway.routes.admitted_viewers import AdmittedViewers
from gateway.routes.ai_sdk import AiSdkRoutes
from gateway.routes.chat_completions import ChatCompletionRoutes
from gateway.routes.events import EventRoutes
from gateway.routes.inputs import InputRoutes
from gateway.routes.joint_events import JointEventRoutes
from gateway.routes.openapi import document_api
from gateway.routes.pass_through import PassThroughRoutes
from gateway.routes.responses import ResponseRoutes
from gateway.routes.run_answers import RunAnswers
from gateway.routes.run_list import RunListRoutes
from gateway.routes.server_state import ServerStateRoutes
from gateway.routes.service import ServiceRoutes
from gateway.routes.session import SessionRoutes
from gateway.routes.short_path import AtOnce, ShortPath
from gateway.routes.start import StartRoutes
from gateway.routes.static_page import mount_static_page
from gateway.routes.streams import StreamRoutes
from gateway.routes.tickets import TicketRoutes
from gateway.runs.begin import RunStarter
from gateway.runs.completion_cache import CompletionCache
from gateway.runs.on_disconnect import DisconnectPolicy
from gateway.runs.run_again import RunsAgain
from gateway.runs.run_list import RunList
from gateway.runs.stored_responses import StoredResponses
from gateway.runs.submit import RunSubmitter, SubmitLimits
from gateway.server.send_timeouts import SendTimeouts
from gateway.settings import Settings

DAY_S = 86_400
BODY_SETTINGS = ("MANYCAST_BODY_LIMIT_BYTES", "MANYCAST_BODY_BUDGET_BYTES")
COMPLETION_SETTING = "MANYCAST_COMPLETION_BUDGET_BYTES"
FINAL_SEND_S = 1.0
"""A drain ends the last responses this long before uvicorn cuts their connections, so that they get a last message."""

logger = logging.getLogger(__name__)


class Routes(Protocol):
    """The API calls on one subject."""

    def register(self, app: FastAPI) -> None:
        """Adds the calls to `app`."""


class Gateway:
    """One gateway process. `app` is the ASGI application to serve; `api` is the FastAPI application inside it.
    `app_at_once` answers the requests that need no waiting, and returns without an answer to others.

    `send_timeouts` closes connections whose client reads nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.has_failed = False
        self._client = command_client(settings.redis_url, KeySpace(settings.prefix, settings.partitions))
        retention_ms = settings.retention_s * 1000
        self._log = StreamLog(self._client, retention_ms)
        self._queue = JobQueue(self._client, retention_ms)
        self._runs = RunList(self._client, retention_ms) if settings.list_runs else None
        budget = MemoryBudget(settings.buffer_budget_bytes)
        # Before the hub: the budget asks its evictors in this order, and unused completions are needed less than
        # buffers.
        self._completions = CompletionCache(settings.completion_budget_bytes, COMPLETION_SETTING, budget)
        self._hub = _build_hub(settings, self._client, self._log, budget)
        self._local_viewers = _build_local_viewers(settings, self._client, self._hub)
        self._metrics = Metrics(
            lambda: len(self._local_viewers),
            lambda: sum(1 for _ in self._hub.feeds()),
            self._hub.count_encoded_events,
            lambda: budget.held_bytes,
        )
        self.security = _build_security_log(settings, self._metrics)
        self._access = build_access(self._client, settings.access, self.security)
        self._admitted = AdmittedViewers(self._access.authenticator, self._local_viewers)
        self.send_timeouts = SendTimeouts(settings.send_timeout_s)
        respond = choose_response(self._local_viewers, self.send_timeouts, settings.send_timeout_s)
        watching = (self._access.permissions, self._admitted, self._hub, self._local_viewers, respond)
        events = EventRoutes(*watching, security=self.security)

        self.api = _new_api(self._lifespan)
        answer_errors(self.api, self.security)
        answer_lost_logs(self.api)
        joint_events = JointEventRoutes(*watching, security=self.security)
        for routes in (*self._build_routes(respond), events, joint_events, *self._build_service_routes()):
            routes.register(self.api)
        document_api(self.api)
        if settings.web_dir is not None:
            mount_static_page(self.api, settings.web_dir, settings.page_policy)
        self.app = self._surround(ShortPath(self.api, events))
        self.app_at_once = self._surround(AtOnce(events))

    def _surround(self, app: ASGIApp) -> ASGIApp:
        """Puts the guards and the middleware around `app`."""
        settings, is_local = self._settings, self._access.authenticator.admits_only_local
        app = add_middleware(
            _guard(app, settings, self.security, admits_only_local=is_local),
            parse_origins(settings.cors_origins),
            is_misaddressed=lambda path: bool(explain_no_such_path(self.api, path)),
        )
        return PathPrefix(app, settings.path_prefix, Proxies(settings.believed_proxies))

    def _build_routes(self, respond: Respond) -> Iterator[Routes]:
        settings, client, hub, local_viewers = self._settings, self._client, self._hub, self._local_viewers
        authenticator, permissions, tickets = self._access
        # A run may take a day, and its log is kept for the retention time. Its control ticket must last that long.
        control_s = settings.retention_s + DAY_S
        limits = SubmitLimits(
            prompt_chars=settings.prompt_limit_chars,
            waiting_runs=settings.queue_limit,
            ticket_s=control_s,
            key_ms=settings.retention_s * 1000,
            retry_ms=settings.retry_window_s * 1000,
            storage=StorageLimits(settings.caller_limit_bytes, settings.redis_reserve_percent),
        )
        submitter = RunSubmitter(
            client, self._queue, tickets, runs=self._runs, on_started=self._metrics.runs_started.inc, limits=limits
        )
        disconnects = DisconnectPolicy(self._queue, settings.on_disconnect, settings.abandon_after_s)
        bodies = BodyBudget(settings.body_limit_bytes, settings.body_budget_bytes, BODY_SETTINGS)
        starter = RunStarter(authenticator, bodies, submitter, disconnects, local_viewers, passed=settings.passed)

        again = RunsAgain(client, self._log, is_open=self._runs is not None)
        yield StartRoutes(client, starter, tickets, again, settings.ticket_s)
        yield RunListRoutes(authenticator, self._runs, again)
        yield from self._build_run_routes(control_s)
        answers = RunAnswers(
            hub, local_viewers, respond, head_wait_s=settings.head_wait_s, ping_interval_s=settings.ping_interval_s
        )
        yield ChatCompletionRoutes(starter, self._log, answers)
        yield PassThroughRoutes(client, self._log, starter, answers)
        yield ResponseRoutes(
            client,
            authenticator,
            permissions,
            starter,
            answers=answers,
            stored=StoredResponses(client, self._log, settings.body_limit_bytes),
            completions=self._completions,
            queue=self._queue,
            hub=hub,
            log=self._log,
            local_viewers=local_viewers,
            respond=respond,
        )
        yield AiSdkRoutes(
            client,
            authenticator,
            starter,
            queue=self._queue,
            hub=hub,
            local_viewers=local_viewers,
            respond=respond,
            lifetime_ms=settings.retention_s * 1000,
        )

    def _build_run_routes(self, control_s: int) -> Iterator[Routes]:
        client, (authenticator, permissions, _) = self._client, self._access
        yield StreamRoutes(
            client, authenticator, permissions, queue=self._queue, log=self._log, completions=self._completions
        )
        yield InputRoutes(authenticator, permissions, Questions(client))
        default_s = self._settings.ticket_s
        yield TicketRoutes(client, self._access, self.security, default_s=default_s, control_s=control_s)

    def _build_service_routes(self) -> Iterator[Routes]:
        authenticator = self._access.authenticator
        yield SessionRoutes(authenticator, self._settings.sign_in_s, self._settings.share_url)
        yield ServerStateRoutes(self._client, authenticator)
        yield ServiceRoutes(self._client, authenticator, self._local_viewers, self._metrics)

    def drain(self) -> None:
        """Ends every viewer's response cleanly. From now on `/readyz` and `/healthz` answer 503."""
        patience_s = max(0.0, self._settings.drain_timeout_s - FINAL_SEND_S)
        self._local_viewers.drain(self._settings.drain_retry_window_ms, patience_s)
        self.send_timeouts.shorten(self._settings.drain_timeout_s / 4)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        reporting = asyncio.create_task(report_missing_rights(self._client))
        tasks = [
            asyncio.create_task(coroutine, name=name)
            for name, coroutine in (
                ("subscription", self._hub.run()),
                ("quiet feeds", self._hub.check_quiet_feeds(self._settings.ping_interval_s)),
                ("silent workers", SilentWorkers(self._client, self._hub).run()),
                ("viewer counts", self._local_viewers.report_counts()),
                ("admitted viewers", self._admitted.run()),
                ("send timeouts", self.send_timeouts.run()),
                ("partitions", keep_agreement(self._client)),
            )
        ]
        for task in tasks:
            task.add_done_callback(self._stop_on_failure)
        try:
            yield
        finally:
            for task in (reporting, *tasks):
                task.cancel()
            await asyncio.gather(reporting, *tasks, return_exceptions=True)
            await self._local_viewers.withdraw_counts()
            await self._client.aclose()

    def _stop_on_failure(self, task: asyncio.Task[None]) -> None:
        """If a background task dies, exit so that a supervisor restarts the process."""
        if not task.cancelled():
            logger.critical(
                "the background task '%s' failed: this gateway exits", task.get_name(), exc_info=task.exception()
            )
            self.has_failed = True
            signal.raise_signal(signal.SIGTERM)


def _build_security_log(settings: Settings, metrics: Metrics) -> SecurityLog:
    proxies = Proxies(settings.believed_proxies)
    return SecurityLog(lambda request: read_source(request, proxies).address, metrics.count_decision)


def _build_hub(settings: Settings, client: Client, log: StreamLog, budget: MemoryBudget) -> Hub:
    limits = HubLimits(
        buffer_bytes=settings.tape_limit_bytes,
        linger_s=settings.linger_s,
        opening_s=settings.opening_timeout_s,
        watchdog_s=settings.watchdog_s,
    )
    return Hub(settings.redis_url, client, log, limits, budget)


def _build_local_viewers(settings: Settings, client: Client, hub: Hub) -> LocalViewers:
    name = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    reserved = settings.viewer_limit * settings.reserved_viewers_percent // 100
    limits = ViewerLimits(settings.viewer_limit, settings.stream_viewer_limit, reserved)
    return LocalViewers(name, client, hub, limits)


def _guard(app: ASGIApp, settings: Settings, security: SecurityLog, *, admits_only_local: bool) -> ASGIApp:
    """Refuses requests that did not come through our own proxy, are for another host, or come from another site's page,
    as far as each is set."""
    hosts = ServedHosts(settings.hosts)
    if admits_only_local:
        proxies, allowed = Proxies(settings.believed_proxies), parse_origins(settings.cors_origins)
        app = OwnPagesOnly(app, proxies, allowed, security)
    if hosts:
        app = ServedHostsOnly(app, hosts, security)
    return OwnProxyOnly(app, settings.proxy_secret, security) if settings.proxy_secret else app


def _new_api(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    return FastAPI(
        title="Manycast",
        version="0.1.0",
        description="One completion, many viewers. What the calls mean: docs/protocol.md.",
        lifespan=lifespan,
        redoc_url=None,
        docs_url=None,
        # No slash redirects: `Location` would contain the client's `Host`.
        redirect_slashes=False,
        default_response_class=JsonResponse,
        separate_input_output_schemas=False,
    )
