"""`python -m gateway`: serves until SIGTERM or Ctrl-C, then drains."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import uvicorn

from contract.log_redaction import configure_logging
from contract.settings import MalformedSettingError, read_settings
from gateway.app import Gateway
from gateway.server.bounded_protocol import BoundedProtocol
from gateway.server.bounds import Bounds
from gateway.server.direct_protocol import DirectProtocol
from gateway.server.processes import Processes
from gateway.settings import Settings


class DrainingServer(uvicorn.Server):
    """Sends viewers away before uvicorn waits for their connections to end, which they else would not.

    `lifeline` is a file whose end says that this process has lost its parent; None, where it has none.
    """

    def __init__(self, config: uvicorn.Config, gateway: Gateway, lifeline: int | None) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._lifeline = lifeline

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What was made to get here stays until the end: the collector need not walk through it while viewers wait.
        gc.freeze()
        if self._lifeline is not None:
            asyncio.get_running_loop().add_reader(self._lifeline, self._end)

    def _end(self) -> None:
        assert self._lifeline is not None
        asyncio.get_running_loop().remove_reader(self._lifeline)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gateway.drain()
        # What is asked from now on is answered, and is the last on its connection.
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await super().shutdown(sockets)


def open_listener(settings: Settings, port: int, sharing: Sequence[int] = ()) -> socket.socket:
    """`sharing` are socket options by which others may listen there too. Raises: OSError, where the address is taken
    or not ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_REUSEADDR, *sharing):
            listener.setsockopt(socket.SOL_SOCKET, option, 1)
        # Connections inherit it: the kernel would else keep megabytes for each viewer that reads nothing.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
        listener.bind((settings.host, port))
        listener.listen(4096)
    except OSError:
        listener.close()
        raise
    return listener


def choose_protocol(settings: Settings, gateway: Gateway) -> Any:
    """What makes uvicorn's protocol for each connection. Of the three, h11 alone knows no bounds."""
    bounds = Bounds(settings.head_timeout_s, settings.body_timeout_s, settings.connection_limit)
    match settings.http_protocol:
        case "direct":
            return partial(DirectProtocol, bounds, gateway.send_timeouts)
        case "httptools":
            return partial(BoundedProtocol, bounds, gateway.send_timeouts)
        case other:
            return other


def serve(settings: Settings, listener: socket.socket, lifeline: int | None = None) -> None:
    """Until SIGTERM, Ctrl-C or the end of `lifeline`. Exits with 1 where a part of the gateway has fallen."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal again when it has drained; by then there is nothing left to stop.
        signal.signal(signum, lambda *_: None)
    gateway = Gateway(settings)
    config = uvicorn.Config(
        gateway.edge,
        http=choose_protocol(settings, gateway),
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=settings.drain_timeout_s,
        timeout_keep_alive=settings.keep_alive_s,
        server_header=False,
        # Who is behind a proxy is asked where it matters, and the peer itself must stay known there.
        proxy_headers=False,
    )
    DrainingServer(config, gateway, lifeline).run(sockets=[listener])
    if gateway.has_fallen:
        sys.exit(1)


def serve_together(settings: Settings, port: int) -> None:
    """The same in several processes. Each has a listener of its own, so that the kernel deals viewers out evenly."""

    def serve_one(lifeline: int) -> None:
        serve(settings, open_listener(settings, port, [socket.SO_REUSEPORT]), lifeline)

    Processes(settings.processes, serve_one).run()


def main() -> None:
    try:
        settings = read_settings(Settings)
    except MalformedSettingError as error:
        sys.exit(f"gateway: {error}")
    configure_logging(settings.log_level)
    try:
        listener = open_listener(settings, settings.port)
    except OSError as error:
        sys.exit(f"gateway: cannot listen on {settings.host}:{settings.port}: {error.strerror}")
    host, port = listener.getsockname()[:2]
    logging.getLogger("gateway").info("listening on http://%s:%s", f"[{host}]" if ":" in host else host, port)
    if settings.processes == 1:
        serve(settings, listener)
    else:
        # It has shown that the address is free: shared listeners would not notice another gateway there.
        listener.close()
        serve_together(settings, port)


if __name__ == "__main__":
    main()
