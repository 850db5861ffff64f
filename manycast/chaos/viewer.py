"""A viewer that watches one stream as EventSource does, and records every event that it receives.

It does not check the events: see `checker.py`. It waits without a limit; `run.py` cancels it.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from contract.position import START, MalformedPositionError, Position
from contract.sse import FrameReader
from manycast.chaos.evidence import Observation
from manycast.chaos.http_response import MalformedResponseError, ResponseReader
from manycast.chaos.workload import ViewerPlan
from manycast.client.text_frame import TextFrame

READ_BYTES = 1 << 16
SLOW_READ_BYTES = 2_000
SLOW_PAUSE_S = 0.03
SLOW_BUFFER_BYTES = 4_096
LONGEST_RETRY_S = 3.0
CONNECTION_LOST_RETRY_S = 0.25


class Viewer:
    """Each connection goes to a random gateway."""

    def __init__(self, plan: ViewerPlan, seed: int, stream_id: str, gateways: Sequence[str]) -> None:
        self.observation = Observation(plan.name)
        self._plan = plan
        self._path = f"/v1/streams/{stream_id}/events"
        self._gateways = gateways
        self._rng = random.Random(f"viewer {seed} {plan.name}")  # noqa: S311 -- a plan, not a secret
        self._cuts = list(plan.cuts)
        self._has_seen_done = False
        self._has_given_up = False
        self._retry_s = 0.0

    async def watch(self, others: Callable[[], Position]) -> None:
        """Joins at the planned time and watches to the end. `others` returns the position of another viewer."""
        await asyncio.sleep(self._plan.delay_s)
        if self._plan.joins_at_another:
            self.observation.joined = others()
        while not (self.observation.ended or self._has_given_up):
            self._retry_s = CONNECTION_LOST_RETRY_S
            with contextlib.suppress(OSError):
                await self._watch_once()
            if self._has_seen_done and not self._plan.returns_after_end:
                self.observation.ended = True
            else:
                await asyncio.sleep(self._retry_s)

    async def _watch_once(self) -> None:
        """Reads one response to its end or to the planned cut. Raises: OSError."""
        url = self._rng.choice(self._gateways)
        self.observation.last_answer = f"its last request, to {url}, got no response"
        address = urlsplit(url)
        cut_at = self._cuts.pop(0) if self._cuts and not self._has_seen_done else None
        connection = socket.socket()
        try:
            connection.setblocking(False)
            if self._plan.is_slow:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, (address.hostname, address.port))
            await loop.sock_sendall(connection, self._request(address.netloc))
            await self._read(connection, cut_at)
        finally:
            connection.close()

    def _request(self, host: str) -> bytes:
        self.observation.responses += 1
        position = self.observation.position
        resume = "" if position == START else f"Last-Event-ID: {position}\r\n"
        return f"GET {self._path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{resume}\r\n".encode()

    async def _read(self, connection: socket.socket, cut_at: int | None) -> None:
        loop = asyncio.get_running_loop()
        response, frames = ResponseReader(), FrameReader()
        length = 0
        while not response.is_whole:
            if cut_at is not None and length >= cut_at:
                self.observation.cuts += 1
                self._retry_s = 0.0
                return
            size = READ_BYTES if not self._plan.is_slow else SLOW_READ_BYTES
            received = await loop.sock_recv(connection, size if cut_at is None else min(size, cut_at - length))
            if not received:
                return
            length += len(received)
            try:
                body = response.feed(received)
            except MalformedResponseError as error:
                self.observation.protocol_error = str(error)
                return
            if response.status:
                self.observation.last_answer = (
                    f"its last response was {response.status}, from port {connection.getpeername()[1]}"
                )
                if not self._handle_status(response.status):
                    return
            for frame in frames.feed(body):
                self._handle_frame(TextFrame.decode(frame))
            if self._plan.is_slow:
                await asyncio.sleep(SLOW_PAUSE_S)
        # The response ended in order: `retry` says when to reconnect.
        self._retry_s = min(LONGEST_RETRY_S, (frames.retry_ms or 0) / 1000)

    def _handle_status(self, status: int) -> bool:
        """Returns whether events follow. Like EventSource, the viewer stops for good at any status but 200."""
        self.observation.ended = status == 204
        self._has_given_up = status not in (200, 204)
        return status == 200

    def _handle_frame(self, frame: TextFrame) -> None:
        seen = self.observation
        if frame.event == "gap":
            seen.start_again()
        elif frame.id is not None:
            try:
                seen.see(Position.parse(frame.id), frame.event, frame.data)
            except MalformedPositionError as error:
                seen.protocol_error = str(error)
            self._has_seen_done = self._has_seen_done or frame.event == "done"
        elif frame.event == "done":
            seen.protocol_error = f"received done without a position (the stream is lost): {frame.data}"
            seen.ended = True
