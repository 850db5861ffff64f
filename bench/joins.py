"""Measures what it costs a server to accept a viewer: from its connection to its first event."""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from bench.program import BenchError
from bench.servers import SERVERS, Target

WARM_UP = 100
"""So many viewers join before the measurement: the first ones pay for what is made once."""
MARK = b"data: {"
DEADLINE_S = 60.0
PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """`viewers` join a stream with one event, `together` at a time, and leave when they have it."""

    title: str
    viewers: int
    together: int


JOIN_PLANS = {"joins": JoinPlan("1,000 join, 20 at once", 1000, 20)}
JOIN_SERVERS = ("manycast", "sse", "limit")


def measure_joins(directory: Path, plan: JoinPlan, server: str) -> float:
    """The server's CPU for one viewer, in microseconds. Raises: BenchError."""
    with SERVERS[server](directory, 1) as target:
        _publish(target)
        program = target.programs["server"]
        spent_us = 0.0
        for begin in range(-WARM_UP, plan.viewers, plan.together):
            before_us = program.cpu_us
            viewers = _join(target, plan.together)
            if begin >= 0:
                spent_us += program.cpu_us - before_us
            for viewer in viewers:
                viewer.close()
            # The server notices that they have left. That is not part of joining.
            time.sleep(PAUSE_S)
        return spent_us / plan.viewers


def _publish(target: Target) -> None:
    """Publishes the first event."""
    payload = b'{"id":"0000 1"}'
    names = {"%i": "0", "%n": "1", "%p": payload.decode()}
    send = target.send
    for name, value in names.items():
        send = send.replace(name, value)
    words = [word.encode() for word in send.split("\t")]
    command = b"".join((b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)))
    with socket.create_connection(("127.0.0.1", target.publish_port), timeout=DEADLINE_S) as publisher:
        if target.publish == "redis":
            publisher.sendall(command)
            publisher.recv(1000)
        else:
            publisher.sendall(send.encode())


def _join(target: Target, count: int) -> list[socket.socket]:
    request = f"GET {target.path.replace('%i', '0')} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    viewers = [socket.create_connection(("127.0.0.1", target.port)) for _ in range(count)]
    for viewer in viewers:
        viewer.sendall(request)
    _await_first_event(viewers)
    return viewers


def _await_first_event(viewers: Sequence[socket.socket]) -> None:
    with DefaultSelector() as selector:
        received = dict.fromkeys(viewers, b"")
        for viewer in viewers:
            selector.register(viewer, EVENT_READ, viewer)
        while received:
            ready = selector.select(DEADLINE_S)
            if not ready:
                raise BenchError("a viewer got no event in time")
            for key, _ in ready:
                viewer = key.data
                received[viewer] += viewer.recv(65536)
                if MARK in received[viewer]:
                    del received[viewer]
                    selector.unregister(viewer)
