"""`python -m gateway`: serves until SIGTERM or Ctrl-C, then drains."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import uvicorn

from contract.keys import KeySpace
from contract.log_redaction import configure_logging
from contract.partitions import PartitionsDisagreeError, check_partitions
from contract.processes import Processes
from contract.settings import MalformedSettingError, read_settings
from gateway.access.request_source import Proxies, limit_group
from gateway.app import Gateway
from gateway.routes.short_path import WATCH_PATH
from gateway.server.address_count import AddressCount
from gateway.server.bounded_protocol import BoundedProtocol
from gateway.server.direct_protocol import DirectProtocol
from gateway.server.fresh_connection import FreshConnections
from gateway.server.idle_connections import IdleConnections
from gateway.server.open_files import fit_connections
from gateway.server.request_limits import RequestLimits
from gateway.settings import Settings


class DrainingServer(uvicorn.Server):
    """At shutdown, ends every viewer's response first: uvicorn waits for connections to close, and theirs would not.

    `lifeline` is a file descriptor that reaches end of file when the parent process dies; None without a parent.
    """

    def __init__(self, config: uvicorn.Config, gateway: Gateway, lifeline: int | None) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._lifeline = lifeline

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # Objects created at start-up live forever; exclude them from garbage-collection scans.
        gc.freeze()
        if self._lifeline is not None:
            asyncio.get_running_loop().add_reader(self._lifeline, self._on_parent_death)

    def stop(self) -> None:
        """Drains, now or as soon as the server has started."""
        self.should_exit = True

    def _on_parent_death(self) -> None:
        assert self._lifeline is not None
        asyncio.get_running_loop().remove_reader(self._lifeline)
        self.stop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gateway.drain()
        # Answer requests that still arrive, and close each connection after its answer.
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await super().shutdown(sockets)


def open_listener(settings: Settings, port: int, sharing: Sequence[int] = ()) -> socket.socket:
    """A listening socket. `sharing`: socket options that let other processes listen on the same address.

    Raises: OSError if the address is in use or does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_REUSEADDR, *sharing):
            listener.setsockopt(socket.SOL_SOCKET, option, 1)
        # Connections inherit the limit. Without it the kernel buffers megabytes for each viewer that reads nothing.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
        listener.bind((settings.host, port))
        listener.listen(4096)
    except OSError:
        listener.close()
        raise
    return listener


def choose_protocol(settings: Settings, gateway: Gateway) -> Any:
    """uvicorn's `http` option: a factory that makes a protocol object for each connection, or the name of one of
    uvicorn's own protocols. `h11`, the only such name, enforces none of our limits."""
    connections = fit_connections(settings.connection_limit)
    limits = RequestLimits(settings.head_timeout_s, settings.body_timeout_s, connections)
    proxies = Proxies(settings.believed_proxies)
    addresses = AddressCount(
        settings.address_connection_limit, lambda peer: None if proxies.trusts(peer) else limit_group(peer)
    )
    idle = IdleConnections()
    match settings.http_protocol:
        case "direct":
            full = partial(DirectProtocol, limits, addresses, idle, gateway.send_timeouts, gateway.security)
            return FreshConnections(
                gateway.app_at_once,
                WATCH_PATH,
                protocol=full,
                limits=limits,
                addresses=addresses,
                idle=idle,
                send_timeouts=gateway.send_timeouts,
            )
        case "httptools":
            return partial(BoundedProtocol, limits, addresses, idle, gateway.send_timeouts, gateway.security)
        case name:
            return name


def serve(settings: Settings, listener: socket.socket, lifeline: int | None = None) -> None:
    """Serves until SIGTERM, Ctrl-C or the parent's death. Exits with status 1 if a background task failed."""
    # uvicorn handles the signals only while it serves. Before that there is nothing to drain.
    _on_stop_signals(sys.exit)
    gateway = Gateway(settings)
    config = uvicorn.Config(
        gateway.app,
        http=choose_protocol(settings, gateway),
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=settings.drain_timeout_s,
        timeout_keep_alive=settings.keep_alive_s,
        server_header=False,
        # gateway.access reads the proxy's headers itself, and needs the proxy's address to decide whether to trust it.
        proxy_headers=False,
    )
    server = DrainingServer(config, gateway, lifeline)
    # A signal that arrives before uvicorn has installed its handlers stops the server once it has started. uvicorn
    # raises the signal again after draining; it then changes nothing.
    _on_stop_signals(server.stop)
    server.run(sockets=[listener])
    if gateway.has_failed:
        sys.exit(1)


def _on_stop_signals(action: Callable[[], object]) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: action())


def serve_together(settings: Settings, port: int) -> None:
    """`serve` in several processes. Each has its own listener, so that the kernel distributes connections evenly."""

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
        check_partitions(settings.redis_url, KeySpace(settings.prefix, settings.partitions))
    except PartitionsDisagreeError as error:
        sys.exit(f"gateway: {error}")
    try:
        listener = open_listener(settings, settings.port)
    except OSError as error:
        sys.exit(f"gateway: cannot listen on {settings.host}:{settings.port}: {error.strerror}")
    host, port = listener.getsockname()[:2]
    logging.getLogger("gateway").info("listening on http://%s:%s", f"[{host}]" if ":" in host else host, port)
    if settings.processes == 1:
        serve(settings, listener)
    else:
        # This listener only showed that the address is free. The shared ones could not: they do not fail if another
        # gateway listens on it.
        listener.close()
        serve_together(settings, port)


if __name__ == "__main__":
    main()
