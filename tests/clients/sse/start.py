"""Starts the clients of each kind, for all streams that they are to watch. They end with the context."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from playwright.async_api import BrowserContext, async_playwright

from tests.clients.conftest import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.clients.snippets import page_snippet
from tests.clients.sse.firefox import open_firefox
from tests.clients.sse.stage import Seen, read_line
from tests.clients.sse.table import HOME
from tests.stack import ROOT

SNIPPETS = {"eventsource-snippet": "new URL(run.urls.events", "fetch-event-source-snippet": "fetchEventSource"}
"""The clients that are a snippet of docs/use-it-with.md, and a text that only that snippet contains."""

OnSeen = Callable[[str, str, Seen], None]
"""(scenario, client, what it shows), called at each change."""


@dataclass(frozen=True)
class Watch:
    """One client that is to watch one stream. A page at `site` finds both paths in its address."""

    client: str
    scenario: str
    site: str
    events_path: str
    status_path: str

    @property
    def url(self) -> str:
        return self.site + self._events

    @property
    def page_url(self) -> str:
        said = {"client": self.client, "scenario": self.scenario, "events": self._events, "status": self.status_path}
        return f"{self.site}/{self.client}.html?{urlencode(said)}"

    @property
    def _events(self) -> str:
        return f"{self.events_path}?client={self.client}"


def write_pages(folder: Path, clients: list[str], node: str) -> None:
    """A page for each client that runs in a browser."""
    with tempfile.TemporaryDirectory() as scripts:
        for client in clients:
            (Path(scripts) / f"{client}.mjs").write_text(_script_of(client))
            elements = f'<script src="/observe.js"></script><script type="module" src="/{client}.js"></script>'
            (folder / f"{client}.html").write_text(f'<meta charset="utf-8"><pre id="answer"></pre>{elements}')
        bundle = [node, str(HOME / "bundle.mjs"), str(folder), *map(str, Path(scripts).iterdir())]
        subprocess.run(bundle, check=True, timeout=60)
    (folder / "observe.js").write_text((HOME / "observe.js").read_text())


def _script_of(client: str) -> str:
    name = client.replace("firefox", "eventsource")
    return page_snippet(SNIPPETS[name]) if name in SNIPPETS else (HOME / "browser" / f"{name}.mjs").read_text()


@asynccontextmanager
async def start_chromium(watches: list[Watch], on_seen: OnSeen) -> AsyncIterator[None]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        # A context for each client: in one context, the seventh stream of a host waits for a connection.
        contexts = {client: await browser.new_context() for client in {watch.client for watch in watches}}
        await asyncio.gather(*(_open_page(contexts[watch.client], watch, on_seen) for watch in watches))
        yield
        await browser.close()


async def _open_page(context: BrowserContext, watch: Watch, on_seen: OnSeen) -> None:
    page = await context.new_page()
    page.on("console", lambda message: _pass_on(message.text, on_seen))
    await page.goto(watch.page_url, wait_until="commit")


@asynccontextmanager
async def start_firefox(binary: str, watches: list[Watch], on_seen: OnSeen) -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with open_firefox(binary, Path(profile), lambda line: _pass_on(line, on_seen)) as firefox:
            for watch in watches:
                await firefox.open_tab(watch.page_url)
            yield


@asynccontextmanager
async def start_program(command: list[str], watches: list[Watch], on_seen: OnSeen) -> AsyncIterator[None]:
    """A program of ours that runs all of its clients, and prints lines as `read_line` reads them."""
    said = [{"client": watch.client, "scenario": watch.scenario, "url": watch.url} for watch in watches]
    async with _running(*command, json.dumps(said)) as lines:
        reading = asyncio.create_task(_pass_all_on(lines, on_seen))
        yield
    await reading


async def _pass_all_on(lines: asyncio.StreamReader, on_seen: OnSeen) -> None:
    async for line in lines:
        _pass_on(line.decode(), on_seen)


def _pass_on(line: str, on_seen: OnSeen) -> None:
    if (seen := read_line(line)) is not None:
        on_seen(*seen)


@asynccontextmanager
async def start_curl(binary: str, watches: list[Watch], on_seen: OnSeen) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for watch in watches:
            output = await stack.enter_async_context(_running(binary, "-sN", f"{watch.url}&dialect=text"))
            stack.push_async_callback(asyncio.wait, [asyncio.create_task(_read_curl(output, watch, on_seen))])
        yield


async def _read_curl(output: asyncio.StreamReader, watch: Watch, on_seen: OnSeen) -> None:
    text = ""
    while piece := await output.read(1 << 16):
        text += piece.decode()
        on_seen(watch.scenario, watch.client, Seen(text))
    # The text of an answer that is complete ends with a line end.
    end = "completed" if text.endswith("\n") else "returned"
    on_seen(watch.scenario, watch.client, Seen(text.removesuffix("\n"), end))


@asynccontextmanager
async def _running(*command: str) -> AsyncIterator[asyncio.StreamReader]:
    """Its output. It is killed at the end."""
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


PYTHON = [sys.executable, "-m", "tests.clients.sse.python_clients"]
