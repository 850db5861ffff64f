"""Opens the listening socket and runs the server. The only module that imports uvicorn."""

import asyncio
import errno
import logging
import signal
import socket
import sys
from types import FrameType
from typing import Any

import uvicorn

# uvicorn logs this when a fault cuts the connection on purpose.
EXPECTED = "ASGI callable returned without completing response."
GRACE_S = 0.2
KEEP_ALIVE_S = 75


def listen(host: str, port: int) -> socket.socket:
    """Opens the listening socket. Port 0 selects a free port.

    Raises: OSError with a readable message if the address cannot be used.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "the port is taken; choose another with SIMULATOR_PORT" if taken else error.strerror or str(error)
        raise OSError(f"cannot listen on {host}:{port}: {reason}") from None


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """Stops immediately: it does not finish open responses."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            sys.stdout.write(f"simulator listens on {address_of(listener)}\n")
            sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn waits for open responses, but a stalled response never ends, nor one that its client does not read.
        asyncio.get_running_loop().call_later(GRACE_S, self._abort_connections)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, _: FrameType | None) -> None:
        # uvicorn's own handler raises the signal again at the end, which would make a requested stop look like a
        # failure.
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def serve(app: Any, listener: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != EXPECTED)
    Server(config).run([listener])
