"""The composition root: a gateway's parts, put together once."""

import asyncio
import logging
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from contract.connection import command_client
from contract.job_queue import JobQueue
from contract.stream_log import StreamLog
from gateway.access.setup import build_access
from gateway.fanout.hub import Hub, HubLimits
from gateway.fanout.presence import Presence, ViewerLimits
from gateway.fanout.responses import choose_response
from gateway.http.errors import answer_errors
from gateway.http.json_response import JsonResponse
from gateway.http.middleware import add_middleware, parse_origins
from gateway.metrics import Metrics
from gateway.routes.ai_sdk import Chats, ai_sdk_router
from gateway.routes.chat_completions import ChatCompletions, chat_completions_router
from gateway.routes.events import events_router
from gateway.routes.openapi import document_api
from gateway.routes.run_list import run_list_router
from gateway.routes.service import service_router
from gateway.routes.session import sign_in_router
from gateway.routes.start import start_router
from gateway.routes.static_page import mount_static_page
from gateway.routes.streams import streams_router
from gateway.routes.tickets import ticket_router
from gateway.runs.on_disconnect import DisconnectPolicy
from gateway.runs.run_list import RunList
from gateway.runs.submit import RunSubmitter, SubmitLimits
from gateway.server.send_timeouts import SendTimeouts
from gateway.settings import Settings

DAY_S = 86_400
LAST_WORDS_S = 1.0
"""Before the server cuts what is still open."""

logger = logging.getLogger(__name__)


class Gateway:
    """One process's gateway. `edge` is the ASGI application, `app` its routes. `drain` sends its viewers away;
    `stalled` drops connections that take nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.has_fallen = False
        retention_ms = settings.retention_s * 1000
        client = self._client = command_client(settings.redis_url)
        log, queue = StreamLog(client, retention_ms), JobQueue(client, retention_ms)
        authenticator, permissions = build_access(client, settings.access)
        limits = HubLimits(
            buffer_bytes=settings.tape_limit_bytes,
            linger_s=settings.linger_s,
            opening_s=settings.opening_timeout_s,
            watchdog_s=settings.watchdog_s,
        )
        hub = self._hub = Hub(settings.redis_url, client, log, limits)
        name = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        presence = self._presence = Presence(
            name, client, hub, ViewerLimits(settings.viewer_limit, settings.stream_viewer_limit)
        )
        metrics = Metrics(lambda: len(presence), lambda: sum(1 for _ in hub.feeds()), hub.written)

        self.app = _new_app(self._lifespan)
        answer_errors(self.app)
        send_timeouts = self.send_timeouts = SendTimeouts(settings.send_timeout_s)
        respond = choose_response(presence, send_timeouts, settings.send_timeout_s)
        self.app.include_router(events_router(permissions, hub, presence, respond))
        runs = RunList(client, retention_ms) if settings.list_runs else None
        # A run may last, and then its answer is kept: the right to it must not end before.
        ticket_s = settings.retention_s + DAY_S
        intake_limits = SubmitLimits(
            settings.body_limit_bytes, settings.prompt_limit_chars, settings.queue_limit, ticket_s
        )
        submitter = RunSubmitter(
            client, queue, permissions, runs=runs, on_started=metrics.runs_started.inc, limits=intake_limits
        )
        disconnects = DisconnectPolicy(queue, settings.on_disconnect)
        self.app.include_router(start_router(client, authenticator, permissions, submitter, settings.ticket_s))
        calls = ChatCompletions(
            authenticator, submitter, hub, log, presence, disconnects, respond, settings.head_wait_s
        )
        self.app.include_router(chat_completions_router(calls))
        chats = Chats(client, authenticator, submitter, queue, hub, presence, disconnects, respond, retention_ms)
        self.app.include_router(ai_sdk_router(chats))
        self.app.include_router(run_list_router(authenticator, runs))
        self.app.include_router(streams_router(client, permissions, queue, log))
        self.app.include_router(service_router(client, authenticator, presence, metrics))
        self.app.include_router(sign_in_router(authenticator, settings.sign_in_s))
        self.app.include_router(
            ticket_router(client, authenticator, permissions, usual_s=settings.ticket_s, control_s=ticket_s)
        )
        if settings.web_dir is not None:
            mount_static_page(self.app, settings.web_dir)
        document_api(self.app)
        self.edge = add_middleware(self.app, parse_origins(settings.cors_origins))

    def drain(self) -> None:
        """Ends every viewer's response cleanly; from now on the gateway says that it is not ready."""
        patience_s = max(0.0, self._settings.drain_timeout_s - LAST_WORDS_S)
        self._presence.drain(self._settings.drain_retry_window_ms, patience_s)
        self.send_timeouts.hurry(self._settings.drain_timeout_s / 4)

    def _heed_fallen(self, duty: asyncio.Task[None]) -> None:
        """A gateway without one of its duties would look alive and serve nobody: it ends, and is started anew."""
        if not duty.cancelled():
            logger.critical("%s has fallen: this gateway must end", duty.get_name(), exc_info=duty.exception())
            self.has_fallen = True
            signal.raise_signal(signal.SIGTERM)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        duties = [
            asyncio.create_task(duty, name=name)
            for name, duty in (
                ("the subscription", self._hub.run()),
                ("looking after feeds", self._hub.look_after(self._settings.ping_interval_s)),
                ("counting viewers", self._presence.count()),
                ("watching stalled viewers", self.send_timeouts.run()),
            )
        ]
        for duty in duties:
            duty.add_done_callback(self._heed_fallen)
        try:
            yield
        finally:
            for duty in duties:
                duty.cancel()
            await asyncio.gather(*duties, return_exceptions=True)
            await self._presence.retire()
            await self._client.aclose()


def _new_app(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    return FastAPI(
        title="Manycast",
        version="0.1.0",
        lifespan=lifespan,
        redoc_url=None,
        docs_url=None,
        # No slash redirects: `Location` would contain the client's `Host`.
        redirect_slashes=False,
        default_response_class=JsonResponse,
    )
