"""`python -m gateway`: serves until SIGTERM or Ctrl-C, then drains."""

import logging
import signal
import socket
import sys

import uvicorn

from gateway.app import Gateway
from gateway.direct_protocol import DirectProtocol
from gateway.settings import MalformedSettingError, read_settings


class DrainingServer(uvicorn.Server):
    """Sends viewers away before uvicorn waits for their connections to end, which they else would not."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gateway.drain()
        await super().shutdown(sockets)


def open_listener(host: str, port: int, send_buffer_bytes: int) -> socket.socket:
    """Raises: OSError, where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it: the kernel would else keep megabytes for each viewer that reads nothing.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        listener.bind((host, port))
        listener.listen(4096)
    except OSError:
        listener.close()
        raise
    return listener


def main() -> None:
    try:
        settings = read_settings()
    except MalformedSettingError as error:
        sys.exit(f"gateway: {error}")
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        listener = open_listener(settings.host, settings.port, settings.send_buffer_bytes)
    except OSError as error:
        sys.exit(f"gateway: cannot listen on {settings.host}:{settings.port}: {error.strerror}")
    host, port = listener.getsockname()[:2]
    logging.getLogger("gateway").info("listening on http://%s:%s", f"[{host}]" if ":" in host else host, port)
    for signum in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal again when it has drained; by then there is nothing left to stop.
        signal.signal(signum, lambda *_: None)
    gateway = Gateway(settings)
    config = uvicorn.Config(
        gateway.app,
        http=DirectProtocol if settings.http_protocol == "direct" else settings.http_protocol,
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=settings.drain_timeout_s,
        server_header=False,
    )
    DrainingServer(config, gateway).run(sockets=[listener])


if __name__ == "__main__":
    main()
