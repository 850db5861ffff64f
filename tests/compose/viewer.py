"""A viewer that works as EventSource does: when its response ends, it reconnects with the last id."""

import asyncio
from dataclasses import dataclass, field

import httpx2

DEADLINE_S = 90.0
UNDER_WAY_EVENTS = 50


@dataclass
class Viewer:
    """What one viewer has received of one stream: (id, event, data) of each event of the log."""

    events: list[tuple[str, str, str]] = field(default_factory=list)
    connections: int = 0
    deadline_s: float = DEADLINE_S
    under_way: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1][1] == "done"

    async def watch(self, client: httpx2.AsyncClient, url: str) -> None:
        """Follows the stream to its end.

        Raises: TimeoutError after the deadline; AssertionError on any status but 200.
        """
        async with asyncio.timeout(self.deadline_s):
            while not self.ended:
                self.connections += 1
                try:
                    await self._read_response(client, url)
                except httpx2.TransportError:
                    continue

    async def _read_response(self, client: httpx2.AsyncClient, url: str) -> None:
        headers = {"Accept": "text/event-stream"}
        if self.events:
            headers["Last-Event-ID"] = self.events[-1][0]
        async with client.stream("GET", url, headers=headers) as response:
            assert response.status_code == 200, "EventSource gives up for good on any other"
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                if line:
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")
                else:
                    self._dispatch(fields)
                    fields = {}

    def _dispatch(self, fields: dict[str, str]) -> None:
        if "id" in fields and "data" in fields:
            self.events.append((fields["id"], fields["event"], fields["data"]))
        if len(self.events) >= UNDER_WAY_EVENTS:
            self.under_way.set()
