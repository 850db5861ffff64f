"""A viewer that watches one stream as EventSource does, through all faults, and records exactly what it received.

Not the judge of it. It waits for ever: whether it hangs is for others to see.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from contract.position import START, MalformedPositionError, Position
from manycast.chaos.evidence import Observation
from manycast.chaos.http_response import MalformedResponseError, ResponseReader
from manycast.chaos.workload import ViewerPlan
from manycast.client.sse import Frame, FrameReader

PIECE_BYTES = 1 << 16
SLOW_PIECE_BYTES = 2_000
SLOW_PAUSE_S = 0.03
SLOW_BUFFER_BYTES = 4_096
LONGEST_RETRY_S = 3.0
LOST_RETRY_S = 0.25


class Viewer:
    """Each connection goes to any of `gateways`."""

    def __init__(self, plan: ViewerPlan, seed: int, stream_id: str, gateways: Sequence[str]) -> None:
        self.sighting = Observation(plan.name)
        self._plan = plan
        self._path = f"/v1/streams/{stream_id}/events"
        self._gateways = gateways
        self._chance = random.Random(f"viewer {seed} {plan.name}")  # noqa: S311 -- a plan, not a secret
        self._cuts = list(plan.cuts)
        self._has_seen_done = False
        self._has_given_up = False
        self._retry_s = 0.0

    async def watch(self, others: Callable[[], Position]) -> None:
        """Joins at its planned time and watches to the end. `others` gives the position of another viewer."""
        await asyncio.sleep(self._plan.late_s)
        if self._plan.follows:
            self.sighting.joined = others()
        while not (self.sighting.ended or self._has_given_up):
            self._retry_s = LOST_RETRY_S
            with contextlib.suppress(OSError):
                await self._watch_once()
            if self._has_seen_done and not self._plan.returns:
                self.sighting.ended = True
            else:
                await asyncio.sleep(self._retry_s)

    async def _watch_once(self) -> None:
        """Reads one response to its end or to the cut. Raises: OSError."""
        url = self._chance.choice(self._gateways)
        self.sighting.last_answer = f"it asked at {url}, and was not answered"
        address = urlsplit(url)
        cut_at = self._cuts.pop(0) if self._cuts and not self._has_seen_done else None
        line = socket.socket()
        try:
            line.setblocking(False)
            if self._plan.is_slow:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(line, (address.hostname, address.port))
            await loop.sock_sendall(line, self._request(address.netloc))
            await self._read(line, cut_at)
        finally:
            line.close()

    def _request(self, host: str) -> bytes:
        self.sighting.responses += 1
        position = self.sighting.position
        resume = "" if position == START else f"Last-Event-ID: {position}\r\n"
        return f"GET {self._path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{resume}\r\n".encode()

    async def _read(self, line: socket.socket, cut_at: int | None) -> None:
        loop = asyncio.get_running_loop()
        response, frames = ResponseReader(), FrameReader()
        had = 0
        while not response.is_whole:
            if cut_at is not None and had >= cut_at:
                self.sighting.cuts += 1
                self._retry_s = 0.0
                return
            room = PIECE_BYTES if not self._plan.is_slow else SLOW_PIECE_BYTES
            received = await loop.sock_recv(line, room if cut_at is None else min(room, cut_at - had))
            if not received:
                return
            had += len(received)
            try:
                body = response.feed(received)
            except MalformedResponseError as error:
                self.sighting.complaint = str(error)
                return
            if response.status:
                self.sighting.last_answer = f"its last answer was {response.status}, from {line.getpeername()[1]}"
                if not self._heed_status(response.status):
                    return
            for frame in frames.feed(body):
                self._heed(frame)
            if self._plan.is_slow:
                await asyncio.sleep(SLOW_PAUSE_S)
        # A clean end: the server has said when to reconnect.
        self._retry_s = min(LONGEST_RETRY_S, (frames.retry_ms or 0) / 1000)

    def _heed_status(self, status: int) -> bool:
        """Whether events follow. At any status but 200, EventSource gives up for good, and so does this viewer."""
        self.sighting.ended = status == 204
        self._has_given_up = status not in (200, 204)
        return status == 200

    def _heed(self, frame: Frame) -> None:
        seen = self.sighting
        if frame.event == "gap":
            seen.start_again()
        elif frame.id is not None:
            try:
                seen.see(Position.parse(frame.id), frame.event, frame.data)
            except MalformedPositionError as error:
                seen.complaint = str(error)
            self._has_seen_done = self._has_seen_done or frame.event == "done"
        elif frame.event == "done":
            seen.complaint = f"was told that the stream is lost: {frame.data}"
            seen.ended = True
