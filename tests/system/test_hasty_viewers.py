"""Viewers that are gone before they are answered are counted neither twice nor less than once."""

import asyncio
import socket
from urllib.parse import urlsplit

import httpx2

from tests.author import open_run
from tests.broker import Broker
from tests.stack import Gateway, closing_all

HASTY = 300


def ask_and_hang_up(url: str) -> None:
    """Says at once that it has nothing more to say, as some clients do that do not wait."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as line:
        line.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        line.shutdown(socket.SHUT_WR)


async def test_viewers_who_hang_up_before_they_are_answered_leave_once(
    http: httpx2.AsyncClient, workerless_broker: Broker
) -> None:
    async with open_run(workerless_broker.url) as run:
        with closing_all(gateway := Gateway(workerless_broker.url)):
            await run.begin()
            url = f"{gateway.url}/v1/streams/{run.stream_id}"
            for _ in range(HASTY):
                await asyncio.to_thread(ask_and_hang_up, f"{url}/events")
            watching = asyncio.create_task(http.get(f"{url}/events"))

            async def viewers() -> int:
                found: int = (await http.get(url)).json()["viewers"]
                return found

            async with asyncio.timeout(60):
                while await viewers() != 1:
                    await asyncio.sleep(0.05)
            await run.end()
            await watching
            async with asyncio.timeout(60):
                while await viewers() != 0:
                    await asyncio.sleep(0.05)
            assert "Traceback" not in gateway.output
