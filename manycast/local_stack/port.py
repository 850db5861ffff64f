"""Finds a free TCP port, or explains why a port cannot be used."""

import errno
import random
import socket
from contextlib import suppress

QUIET_PORTS = range(20_000, 32_768)
"""Linux, macOS and Windows give these to no outgoing connection: a free one stays free until its server takes it."""
_TRIES = 20


class PortError(Exception):
    """The address cannot be used. The message says why, and what to do."""


def free_port(host: str = "127.0.0.1") -> int:
    """Returns a free port, if possible of QUIET_PORTS. Raises: PortError."""
    for port in random.sample(QUIET_PORTS, _TRIES):
        with suppress(PortError):
            return _bind_once(host, port)
    return _bind_once(host, 0)


def check_port(host: str, port: int, started_with: str) -> int:
    """Returns `port`, or a free port if it is 0. Raises: PortError if `port` cannot be used.

    `started_with`: what to type to use another port, which follows.
    """
    if not port:
        return free_port(host)
    try:
        return _bind_once(host, port)
    except PortError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
            raise PortError(f"port {port} is taken; try: {started_with}{_next_free(host, port)}") from error
        raise


def _next_free(host: str, port: int) -> int:
    for candidate in range(port + 1, min(port + 20, 65536)):
        try:
            return _bind_once(host, candidate)
        except PortError:
            continue
    return free_port(host)


def _bind_once(host: str, port: int) -> int:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
    except (OSError, OverflowError, UnicodeError) as error:
        raise PortError(f"{host!r} is not an address of this machine") from error
    with socket.socket(family, kind) as probe:
        # Servers set this too, so that they can use a port that has connections in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            # On some systems only `listen` fails, not `bind`.
            probe.listen(1)
        except PermissionError as error:
            raise PortError(f"port {port} needs the rights of the administrator; use one from 1024 on") from error
        except OSError as error:
            raise PortError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        bound: int = probe.getsockname()[1]
        return bound
