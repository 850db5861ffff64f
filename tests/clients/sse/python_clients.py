"""`python -m tests.clients.sse.python_clients WATCHES`: clients in Python, each used as its README shows.

WATCHES is JSON, a list of {client, scenario, url}. Prints a line of JSON for each change of what a client shows.
"""

import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp_sse_client2.client
import httpx
import httpx_sse
import requests
import requests_sse
import sseclient

from tests.clients.snippets import httpx_sse_snippet

PRINTING = threading.Lock()


class Answer:
    """What one client shows, and how it ended."""

    def __init__(self, watch: dict[str, str]) -> None:
        self._said = {"client": watch["client"], "scenario": watch["scenario"]}
        self._text = ""
        self._end: str | None = None

    def take(self, event: str | None, data: str) -> bool:
        """Whether it was the last event."""
        content = json.loads(data)
        if event == "chunk":
            self.add(content["choices"][0]["delta"]["content"])
        if event == "done":
            self.end(content["status"])
        return event == "done"

    def add(self, text: str) -> None:
        self._text += text
        self._print()

    def end(self, how: str) -> None:
        self._end = self._end or how
        self._print()

    def _print(self) -> None:
        with PRINTING:
            print(json.dumps({**self._said, "text": self._text, "end": self._end}), flush=True)


def read_httpx_sse(url: str, answer: Answer) -> None:
    with httpx.Client(timeout=60) as client, httpx_sse.connect_sse(client, "GET", url) as source:
        source.response.raise_for_status()
        for event in source.iter_sse():
            if answer.take(event.event, event.data):
                return


def read_httpx_sse_snippet(url: str, answer: Answer) -> None:
    def show(text: str, **_: object) -> None:
        if text.startswith("\n["):
            answer.end(text.strip("\n[]"))
        else:
            answer.add(text)

    exec(httpx_sse_snippet(url), {"print": show})


def read_sseclient_py(url: str, answer: Answer) -> None:
    with requests.get(url, stream=True, headers={"Accept": "text/event-stream"}, timeout=60) as response:
        response.raise_for_status()
        for event in sseclient.SSEClient(response).events():  # type: ignore[arg-type] # as its README shows
            if answer.take(event.event, event.data):
                return


def read_requests_sse(url: str, answer: Answer) -> None:
    with requests_sse.EventSource(url, timeout=60) as source:
        for event in source:
            if answer.take(event.type, event.data):
                return


async def read_aiohttp_sse_client2(url: str, answer: Answer) -> None:
    async with aiohttp_sse_client2.client.EventSource(url) as source:
        async for event in source:
            if answer.take(event.type, event.data):
                return


BLOCKING: dict[str, Callable[[str, Answer], None]] = {
    "httpx-sse": read_httpx_sse,
    "httpx-sse-snippet": read_httpx_sse_snippet,
    "sseclient-py": read_sseclient_py,
    "requests-sse": read_requests_sse,
}


async def read(watch: dict[str, str]) -> None:
    answer = Answer(watch)
    try:
        await _reader(watch["client"])(watch["url"], answer)
        answer.end("returned")
    except Exception as error:
        answer.end(type(error).__name__)


def _reader(client: str) -> Callable[[str, Answer], Awaitable[None]]:
    if client == "aiohttp-sse-client2":
        return read_aiohttp_sse_client2
    return lambda url, answer: in_a_thread(BLOCKING[client], url, answer)


async def in_a_thread(function: Callable[[str, Answer], None], url: str, answer: Answer) -> None:
    """In a thread of its own: a pool may have fewer threads than there are clients that wait."""
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def call() -> None:
        try:
            function(url, answer)
            loop.call_soon_threadsafe(done.set_result, None)
        except Exception as error:
            loop.call_soon_threadsafe(done.set_exception, error)

    threading.Thread(target=call, daemon=True).start()
    await done


async def main(watches: list[dict[str, Any]]) -> None:
    await asyncio.gather(*(read(watch) for watch in watches))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
