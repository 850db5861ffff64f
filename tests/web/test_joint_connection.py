"""Many tabs with many answers over HTTP/1.1, on which a browser has six connections to a host. Real gateways."""

import asyncio
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from contract.connection import blocking_client, command_client
from manycast.local_stack.port import free_port
from tests.author import Author, Run
from tests.broker import Broker
from tests.clients.sse.firefox import find_firefox, open_firefox
from tests.stack import Gateway, Part, closing_all, wait_for_http
from tests.viewers import until
from tests.web.conftest import WEB
from tests.web.visit import visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

TABS = 8
SETTINGS = {"MANYCAST_WEB_DIR": str(WEB), "MANYCAST_KEEP_ALIVE_S": "1", "MANYCAST_PING_INTERVAL_S": "1"}
PRIVATE = {"model": "demo", "messages": [{"role": "user", "content": "Why?"}], "manycast": {"visibility": "private"}}
WATCH = """async ([url, options]) => {
  const { watchShared } = await import("/shared.js");
  globalThis.told = "";
  globalThis.viewer = watchShared(url, {
    chunk: (chunk) => (told += chunk.choices[0].delta.content),
    restart: () => (told += "|"),
    gap: () => (told += "?"),
    done: ({ status }) => (told += `.${status}`),
    state: (state) => (document.title = state),
    refused: ({ error }) => (told += error.code),
  }, options);
}"""

TAB = """
import { watchShared } from "/shared.js";
const id = location.hash.slice(1);
let told = "";
const tell = (text) => console.log(`${id} ${(told += text)}`);
watchShared(`/v1/streams/${id}/events`, {
  chunk: (chunk) => tell(chunk.choices[0].delta.content),
  done: ({ status }) => tell(`.${status}`),
});
"""


@pytest.fixture(scope="module")
def gateway(broker: Broker) -> Iterator[Gateway]:
    with closing_all(gateway := Gateway(broker.url, MANYCAST_HOST="0.0.0.0", **SETTINGS)):
        yield gateway


@pytest_asyncio.fixture(loop_scope="session")
async def author(broker: Broker) -> AsyncIterator[Author]:
    client, blocking = command_client(broker.url), blocking_client(broker.url)
    yield Author(client, blocking)
    await client.aclose()
    await blocking.aclose()


def count_connections(url: str) -> int:
    """How many connections the server at `url` has, of which browsers keep idle ones for a moment."""
    port = f":{urlsplit(url).port:04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows)


async def has_connections(url: str, count: int) -> None:
    async with asyncio.timeout(60):
        while count_connections(url) != count:
            await asyncio.sleep(0.05)


def find_address() -> str:
    """The address of this machine in its network. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: for documentation
        except OSError:
            pytest.skip("this machine has no address but loopback ones")
        return str(probe.getsockname()[0])


async def open_tab(page: Page, base: str, events: str, **options: Any) -> Page:
    tab = await page.context.new_page()
    await tab.goto(f"{base}/manycast.d.ts")  # any page of this origin
    await tab.evaluate(WATCH, [events, options])
    return tab


async def told(tab: Page, text: str) -> None:
    await tab.wait_for_function("text => told === text", arg=text)


async def write_all(runs: list[Run], text: str) -> None:
    for number, run in enumerate(runs):
        await run.say(f"{text}{number} ")


def events_of(run: Run) -> str:
    return f"/v1/streams/{run.stream_id}/events"


@pytest.mark.usefixtures("packages")
async def test_eight_pages_with_eight_answers_load_and_stream_and_are_complete(
    page: Page, gateway: Gateway, author: Author
) -> None:
    runs = [await author.start() for _ in range(TABS)]
    for run in runs:
        await run.begin()
    await write_all(runs, "This is answer ")
    tabs = []
    for run in runs:
        tabs.append(tab := await page.context.new_page())
        await visit(tab, f"{gateway.url}/watch#{run.stream_id}")
        await expect(tab.locator(".text")).to_contain_text("This is answer")
    await write_all(runs, "and this is more of answer ")
    await write_all(runs, "to its end, ")
    for run in runs:
        await run.end()
    for number, tab in enumerate(tabs):
        await tab.wait_for_selector('.reply[data-state="ended"]')
        whole = f"This is answer {number} and this is more of answer {number} to its end, {number}"
        await expect(tab.locator(".text")).to_have_text(whole)


async def test_tabs_come_and_go_and_every_stream_counts_its_viewers(
    page: Page, gateway: Gateway, author: Author
) -> None:
    runs = [await author.start() for _ in range(TABS)]
    tabs = [await open_tab(page, gateway.url, events_of(run), ownLines=0) for run in runs]
    for run in runs:
        await run.begin()
    await write_all(runs, "a")
    for number, tab in enumerate(tabs):
        await told(tab, f"a{number} ")
    await has_connections(gateway.url, 1)
    await runs[0].end()
    await told(tabs[0], "a0 .completed")
    await tabs[1].close()
    await tabs[2].evaluate("viewer.close()")
    async with httpx2.AsyncClient(base_url=gateway.url) as http, asyncio.timeout(60):
        for left in (0, 1, 2):
            while (await http.get(f"/v1/streams/{runs[left].stream_id}")).json()["viewers"] != 0:
                await asyncio.sleep(0.05)
        assert (await http.get(f"/v1/streams/{runs[3].stream_id}")).json()["viewers"] == 1
    back = await open_tab(page, gateway.url, events_of(runs[1]), ownLines=0)
    await told(back, "a1 ")
    await write_all(runs[1:], "b")
    for run in runs[1:]:
        await run.end()
    await told(back, "a1 b0 .completed")
    for number, tab in enumerate(tabs[3:], 3):
        await told(tab, f"a{number} b{number - 1} .completed")


async def test_a_stream_that_is_being_written_loses_nothing_while_others_come_and_go(
    page: Page, gateway: Gateway, author: Author
) -> None:
    quiet, run, *others = [await author.start() for _ in range(6)]
    await open_tab(page, gateway.url, events_of(quiet), ownLines=0)
    await run.begin()
    watching = await open_tab(page, gateway.url, events_of(run), ownLines=0)
    written: list[str] = []
    is_over = asyncio.Event()

    async def write() -> None:
        while not is_over.is_set():
            written.append(f"{len(written)} ")
            await run.say(written[-1])
            await asyncio.sleep(0.002)  # a pace, not a wait
        await run.end()

    writing = asyncio.create_task(write())
    for other in others * 3:
        tab = await open_tab(page, gateway.url, events_of(other), ownLines=0)
        await expect(tab).to_have_title("waiting")
        await tab.close()
    is_over.set()
    await writing
    await told(watching, f"{''.join(written)}.completed")
    assert len(written) > 100


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_a_gateway_that_is_gone_costs_no_stream_anything(
    page: Page, broker: Broker, author: Author, end: signal.Signals
) -> None:
    settings = {**SETTINGS, "REDIS_URL": broker.url, "MANYCAST_PORT": str(free_port())}
    url = f"http://127.0.0.1:{settings['MANYCAST_PORT']}"
    with closing_all(first := Part("gateway", **settings)):
        wait_for_http(first, f"{url}/healthz")
        runs = [await author.start() for _ in range(3)]
        for run in runs:
            await run.begin()
        tabs = [await open_tab(page, url, events_of(run), ownLines=0) for run in runs]
        await write_all(runs, "a")
        for number, tab in enumerate(tabs):
            await told(tab, f"a{number} ")
        first.signal(end)
        first.wait()
    for tab in tabs:
        await expect(tab).to_have_title("reconnecting")
    await write_all(runs, "b")
    again = [await runs[0].lose(), *runs[1:]]
    await again[0].begin()
    await write_all(again, "c")
    with closing_all(second := Part("gateway", **settings)):
        wait_for_http(second, f"{url}/healthz")
        await write_all(again, "d")
        for run in again:
            await run.end()
        await told(tabs[0], "a0 b0 |c0 d0 .completed")
        for number, tab in enumerate(tabs[1:], 1):
            await told(tab, f"a{number} b{number} c{number} d{number} .completed")


async def test_private_streams_share_it_too_and_a_foreign_one_is_refused_alone(page: Page, gateway: Gateway) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        started = [(await http.post("/v1/streams", json=PRIVATE)).json() for _ in range(3)]
        urls = [f"/v1/streams/{run['id']}/events" for run in started]
        first = await open_tab(page, gateway.url, urls[0], ownLines=0, ticket=started[0]["tickets"]["view"])
        second = await open_tab(page, gateway.url, started[1]["urls"]["events"], ownLines=0)
        third = await open_tab(page, gateway.url, urls[2], ownLines=0)
        await told(third, "ticket_missing")
        for tab in (first, second):
            await expect(tab).to_have_title("queued")
        await has_connections(gateway.url, 1)
        for run in started:
            await http.post(run["urls"]["cancel"])
        for tab in (first, second):
            await told(tab, ".cancelled")


async def test_a_stream_that_does_not_exist_is_told_to_its_tab_alone(
    page: Page, gateway: Gateway, author: Author
) -> None:
    run = await author.start()
    await run.begin()
    there = await open_tab(page, gateway.url, events_of(run), ownLines=0)
    gone = await open_tab(page, gateway.url, f"/v1/streams/s_{'x' * 22}/events", ownLines=0)
    await expect(gone).to_have_title("gone")
    await run.say("there")
    await told(there, "there")
    await run.end()
    await told(there, "there.completed")


async def test_it_works_without_locks_which_need_https_or_localhost(
    page: Page, gateway: Gateway, author: Author
) -> None:
    base = f"http://{find_address()}:{urlsplit(gateway.url).port}"
    runs = [await author.start() for _ in range(TABS)]
    for run in runs:
        await run.begin()
    tabs = [await open_tab(page, base, events_of(run)) for run in runs]
    assert not await tabs[0].evaluate("isSecureContext")
    await write_all(runs, "a")
    for number, tab in enumerate(tabs):
        await told(tab, f"a{number} ")
    await has_connections(gateway.url, 1)
    await tabs[0].close()
    async with httpx2.AsyncClient(base_url=gateway.url) as http, asyncio.timeout(60):
        while (await http.get(f"/v1/streams/{runs[0].stream_id}")).json()["viewers"] != 0:
            await asyncio.sleep(0.05)
    for run in runs:
        await run.end()
    for number, tab in enumerate(tabs[1:], 1):
        await told(tab, f"a{number} .completed")


async def test_eight_tabs_of_firefox_stream_too(broker: Broker, author: Author, tmp_path: Path) -> None:
    binary = find_firefox()
    if binary is None:
        pytest.skip("there is no Firefox here")
    for module in (WEB / "client").glob("*.js"):
        shutil.copy(module, tmp_path)
    (tmp_path / "tab.html").write_text('<script type="module" src="/tab.js"></script>')
    (tmp_path / "tab.js").write_text(TAB)
    lines: set[str] = set()
    runs = [await author.start() for _ in range(TABS)]
    (tmp_path / "profile").mkdir()
    with closing_all(gateway := Gateway(broker.url, **{**SETTINGS, "MANYCAST_WEB_DIR": str(tmp_path)})):
        async with open_firefox(binary, tmp_path / "profile", lines.add) as firefox:
            for number, run in enumerate(runs):
                await run.begin()
                await firefox.open_tab(f"{gateway.url}/tab#{run.stream_id}")
                await run.say(f"a{number} ")
                await until(lambda said=f"{run.stream_id} a{number} ": said in lines)
            await has_connections(gateway.url, 2)
            await write_all(runs, "b")
            for run in runs:
                await run.end()
            for number, run in enumerate(runs):
                await until(lambda said=f"{run.stream_id} a{number} b{number} .completed": said in lines)
