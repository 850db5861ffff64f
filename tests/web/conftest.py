"""A real browser for the page's tests, and a peer: a server that answers as a test scripts it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Browser, Page, async_playwright, expect

from gateway.http.page_policy import PagePolicy
from gateway.routes.static_page import mount_static_page
from tests.clients.sse.firefox import Firefox, find_firefox, open_firefox
from tests.web.peer import Peer

CHROMIUM = Path("/usr/bin/chromium")
HEADLESS_SHELL = Path("/usr/bin/chromium-headless-shell")
"""Chromium's engine without a desktop browser around it: a context and a page cost half of the CPU time."""
WEB = Path(__file__).parents[2] / "web"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


expect.set_options(timeout=60_000)  # a deadline, on a machine that may be busy


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The cheapest Chromium of this machine."""
    found = next((binary for binary in (HEADLESS_SHELL, CHROMIUM) if binary.exists()), None)
    if found is None:
        pytest.skip(f"no Chromium at {CHROMIUM}")
    return found


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder of the page's packages."""
    if not (WEB / "parts" / "vendor").exists():
        pytest.skip("the page's packages are not installed: python web/install.py")
    return WEB / "node_modules"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page in a context of its own; a script error that nothing caught fails the test."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    page = await context.new_page()
    crashes: list[str] = []
    page.on("pageerror", lambda error: crashes.append(str(error)))
    yield page
    await context.close()
    assert crashes == []


@pytest_asyncio.fixture(loop_scope="session")
async def other(browser: Browser) -> AsyncIterator[Page]:
    """A page of another person, who shares no cookies with the first."""
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def peer() -> AsyncIterator[Peer]:
    async with serving(Peer()) as peer:
        yield peer


def other_origin(peer: Peer) -> str:
    """The same server under another name: to a browser, another site. The page may load pictures from there."""
    return peer.url.replace("127.0.0.1", "localhost")


@asynccontextmanager
async def serving(peer: Peer) -> AsyncIterator[Peer]:
    """The peer with the pages beside it, on a free port."""
    app = FastAPI(routes=peer.routes)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        peer.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        mount_static_page(app, WEB, PagePolicy(image_hosts=[other_origin(peer)]))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        yield peer
        peer.hang_up()
        server.should_exit = True
        server.force_exit = True
        await running


@pytest_asyncio.fixture(loop_scope="session")
async def firefox(tmp_path: Path) -> AsyncIterator[Firefox]:
    """The browser. What its pages complain about fails the test."""
    binary = find_firefox()
    if binary is None:
        pytest.skip("there is no Firefox here")
    complaints: list[str] = []
    async with open_firefox(binary, tmp_path, complaints.append) as browser:
        yield browser
    assert [text for text in complaints if "Error" in text or "Content-Security-Policy" in text] == []
