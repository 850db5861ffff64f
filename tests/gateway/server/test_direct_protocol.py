"""A response takes over a connection from uvicorn."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from gateway.http.security_log import SecurityLog
from gateway.server.address_count import AddressCount
from gateway.server.direct_protocol import EXTENSION, DirectProtocol
from gateway.server.idle_connections import IdleConnections
from gateway.server.request_limits import RequestLimits
from gateway.server.send_timeouts import SendTimeouts
from gateway.server.taken_connection import TakenConnection

DEADLINE_S = 60.0
HEAD = {"type": "http.response.start", "status": 200, "headers": []}


class Owner:
    """Has nothing to say."""

    def on_full(self) -> None:
        pass

    def on_free(self) -> None:
        pass

    def on_lost(self) -> None:
        pass


@asynccontextmanager
async def asking(app: ASGIApp) -> AsyncIterator[tuple[asyncio.StreamWriter, ServerState]]:
    """A client that has sent a request to `app`, and the state of the server."""
    config, state = uvicorn.Config(app, lifespan="off", log_config=None, proxy_headers=False, ws="none"), ServerState()
    limits, security = RequestLimits(DEADLINE_S, DEADLINE_S, connections=10), SecurityLog(lambda _: "", lambda _: None)
    addresses, timeouts = AddressCount(0, lambda _: None), SendTimeouts(DEADLINE_S)

    def accept() -> DirectProtocol:
        given = {"config": config, "server_state": state, "app_state": {}}
        return DirectProtocol(limits, addresses, IdleConnections(), timeouts, security, next_requests=None, **given)

    async with (
        asyncio.timeout(DEADLINE_S),
        await asyncio.get_running_loop().create_server(accept, "127.0.0.1") as server,
    ):
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            yield writer, state
        finally:
            writer.close()
            await writer.wait_closed()
            while state.connections:
                await asyncio.sleep(0)


async def test_a_client_that_leaves_at_the_take_over_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Event()
    taken: list[TakenConnection | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        connection: DirectProtocol = scope["extensions"][EXTENSION]
        await send(HEAD)
        begun.set()
        # The connection closes in one turn of the loop, and its protocol hears of it in the next one.
        while not connection.transport.is_closing():
            await asyncio.sleep(0)
        taken.append(connection.take_over(Owner()))

    async with asking(app) as (client, state):
        await begun.wait()
        client.write_eof()
        while state.tasks:
            await asyncio.sleep(0)
    assert taken == [None]
    assert "ASGI callable" not in caplog.text


async def test_nothing_of_a_request_stays_in_memory_once_its_connection_was_taken_over() -> None:
    old: list[weakref.ref[DirectProtocol]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        connection: DirectProtocol = scope["extensions"][EXTENSION]
        await send(HEAD)
        assert connection.take_over(Owner())
        old.append(weakref.ref(connection))

    gc.disable()
    try:
        async with asking(app) as (_, state):
            while not old or state.tasks:
                await asyncio.sleep(0)
            assert old[0]() is None
            assert len(state.connections) == 1
    finally:
        gc.enable()
