"""docs/use-it-with.md and the README tell the truth: each snippet is run as it stands, at another address."""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.clients.conftest import CHROMIUM, CHROMIUM_ARGUMENTS, NODE_HOME, Stack, run_program
from tests.clients.network import network_to
from tests.clients.snippets import PAPER, README, snippet_with, snippets
from tests.clients.sse.table import HOME as SSE_HOME
from tests.packages import install_node_packages
from tests.stack import ROOT, Gateway, closing_all
from tests.viewers import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = "http://127.0.0.1:8000"

# What every answer of the model `demo` to these questions has in it.
SAID = "sky"


def at(gateway: str, snippet: str) -> str:
    assert HERE in snippet
    return snippet.replace(HERE, gateway)


async def test_there_is_a_snippet_of_every_kind() -> None:
    kinds = re.findall(r"^```(\w+)$", PAPER, re.MULTILINE)
    assert set(kinds) == {"python", "js", "jsx", "sh", "browser", "html", "mjs", "nginx"}


PYTHON = [*snippets("python"), *snippets("python", README)]
PAGES = [*snippets("browser"), *snippets("js", README)]


@pytest.mark.parametrize("snippet", PYTHON, ids=range(len(PYTHON)))
async def test_python(stack: Stack, snippet: str) -> None:
    if "langchain" in snippet:
        pytest.importorskip("langchain_openai", reason="langchain-openai is not installed")
    assert len(await run_program(sys.executable, "-c", at(stack.gateway, snippet))) > 100


@pytest.mark.parametrize("snippet", snippets("sh"), ids=range(len(snippets("sh"))))
async def test_shell(stack: Stack, snippet: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    assert SAID in await run_program("sh", "-ec", at(stack.gateway, snippet))


async def test_the_commands_of_the_readme(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    (snippet,) = snippets("sh", README)
    ask, *more = at(stack.gateway, snippet).splitlines()
    # As in a shell with the environment of `pip install`, and a gateway at another address.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.setenv("MANYCAST_SERVER", stack.gateway)
    asked = await run_program("sh", "-ec", ask)
    found = re.search(r"/watch#([\w-]+)", asked)
    assert found is not None
    assert SAID in asked
    for line in more:
        assert SAID in await run_program("sh", "-ec", line.replace("ID", found[1]))


@pytest.mark.parametrize("snippet", snippets("js"), ids=range(len(snippets("js"))))
async def test_node(stack: Stack, node: str, snippet: str) -> None:
    output = await run_program(node, "--input-type=module", "--eval", at(stack.gateway, snippet), cwd=NODE_HOME)
    assert "watch it at" in output
    assert len(output) > 100


@pytest.mark.parametrize("snippet", snippets("jsx"), ids=range(len(snippets("jsx"))))
async def test_react_answers_and_resumes_after_a_reload(stack: Stack, node: str, tmp_path: Path, snippet: str) -> None:
    source = tmp_path / "Chat.jsx"
    # Slow enough for a reload in the middle.
    assert 'model: "demo"' in snippet
    slow = snippet.replace('model: "demo"', 'model: "demo", simulator: { chunks_per_s: 60 }')
    source.write_text(at(stack.gateway, slow))
    await run_program(node, "page.mjs", str(source), cwd=NODE_HOME)


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """A gateway that also serves a page, on which there is nothing but a place for the answer."""
    (tmp_path / "index.html").write_text('<pre id="answer"></pre><script type="module" src="/app.js"></script>')
    for module in (ROOT / "web" / "client").glob("*.js"):
        shutil.copy(module, tmp_path)
    gateway = Gateway(stack.redis, MANYCAST_WEB_DIR=str(tmp_path))
    yield gateway.url
    gateway.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    if not await asyncio.to_thread(CHROMIUM.exists):
        pytest.skip(f"no Chromium at {CHROMIUM}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


@pytest.mark.parametrize("snippet", PAGES, ids=range(len(PAGES)))
async def test_browser(site: str, page: Page, tmp_path: Path, snippet: str) -> None:
    if re.search(r'from "[^/.]', snippet):
        (tmp_path / "app.mjs").write_text(snippet)
        node = await asyncio.to_thread(install_node_packages, SSE_HOME)
        await run_program(node, str(SSE_HOME / "bundle.mjs"), str(tmp_path), str(tmp_path / "app.mjs"))
    else:
        (tmp_path / "app.js").write_text(snippet)
    await page.goto(site)
    await expect(page.locator("#answer")).to_have_attribute("data-status", "completed", timeout=60_000)
    await expect(page.locator("#answer")).to_contain_text(SAID)


@pytest.fixture
def other_site(tmp_path: Path) -> Iterator[int]:
    """The port of a plain web server for the files in `tmp_path`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


async def test_an_answer_inside_another_page_has_its_colours_and_other_sites_cannot_show_it(
    stack: Stack, page: Page, tmp_path: Path, other_site: int
) -> None:
    (snippet,) = snippets("html")
    listed, unlisted = (f"http://{name}:{other_site}" for name in ("localhost", "127.0.0.1"))
    shutil.copy(ROOT / "web" / "client" / "manycast-answer.js", tmp_path)
    settings = {"MANYCAST_WEB_DIR": str(ROOT / "web"), "MANYCAST_FRAME_ORIGINS": listed}
    with closing_all(gateway := Gateway(stack.redis, **settings)):
        body = {"model": "demo", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            run = (await http.post("/v1/streams", json=body)).raise_for_status().json()
        (tmp_path / "index.html").write_text(at(gateway.url, snippet).replace("#ID", f"#{run['id']}"))
        await page.goto(listed)
        shown = page.locator("manycast-answer")
        await expect(shown).to_have_attribute("status", "completed", timeout=60_000)
        frame = shown.locator("iframe").content_frame
        await expect(frame.locator(".text")).to_contain_text(SAID)
        style = "body => [getComputedStyle(body).getPropertyValue('--accent'), getComputedStyle(body).fontFamily]"
        assert await frame.locator("body").evaluate(style) == ["rebeccapurple", "Georgia, serif"]
        inside = await frame.locator("body").evaluate("body => body.scrollHeight")
        assert await shown.evaluate("element => element.clientHeight") >= inside > 500

        async with page.expect_console_message(lambda entry: "frame-ancestors" in entry.text, timeout=60_000):
            await page.goto(unlisted)
        assert await page.locator("manycast-answer").get_attribute("status") is None


@pytest.fixture
def event_source(tmp_path: Path, site: str) -> str:
    """The address of a page with the snippet for `EventSource`, whose answer waits in the middle."""
    snippet = snippet_with("browser", "new URL(run.urls.events")
    assert 'model: "demo"' in snippet
    (tmp_path / "app.js").write_text(snippet.replace('model: "demo"', 'model: "demo", simulator: { hold_after: 10 }'))
    return site


async def release_held_answers(stack: Stack) -> None:
    async with httpx2.AsyncClient(base_url=stack.provider) as http:
        (await http.post("/simulator/release")).raise_for_status()


async def test_a_page_with_event_source_survives_a_proxys_502(stack: Stack, event_source: str, page: Page) -> None:
    answer = page.locator("#answer")
    async with network_to(event_source) as network:
        await page.goto(network.url)
        await expect(answer).not_to_be_empty()
        network.is_gateway_dead = True
        network.cut_all()
        at = len(network.requests)
        await until(lambda: sum("lastEventId=1-" in target for target in network.requests[at:]) >= 2)
        network.is_gateway_dead = False
        await release_held_answers(stack)
        await expect(answer).to_have_attribute("data-status", "completed", timeout=60_000)
        (events,) = {target.partition("/events")[0] for target in network.requests if "/events" in target}
    async with httpx2.AsyncClient(base_url=event_source) as http:
        whole = (await http.get(f"{events}/completion")).raise_for_status().json()
    assert await answer.text_content() == whole["choices"][0]["message"]["content"]


async def test_a_page_with_many_answers_survives_a_proxys_502(
    stack: Stack, site: str, page: Page, tmp_path: Path
) -> None:
    snippet = snippet_with("browser", "/v1/events")
    assert 'model: "demo"' in snippet
    (tmp_path / "app.js").write_text(snippet.replace('model: "demo"', 'model: "demo", simulator: { hold_after: 10 }'))
    parts = page.locator("#answer p")
    async with network_to(site) as network:
        await page.goto(network.url)
        for number in range(2):
            await expect(parts.nth(number)).not_to_be_empty()
        network.is_gateway_dead = True
        network.cut_all()
        at = len(network.requests)
        await until(lambda: sum("lastEventId=s_" in target for target in network.requests[at:]) >= 2)
        network.is_gateway_dead = False
        await release_held_answers(stack)
        await expect(page.locator("#answer")).to_have_attribute("data-status", "completed", timeout=60_000)
        (query,) = {re.sub("&lastEventId.*", "", target) for target in network.requests if "/v1/events" in target}
    async with httpx2.AsyncClient(base_url=site) as http:
        for number, stream_id in enumerate(re.findall(r"stream=(\w+[\w-]*)", query)):
            whole = (await http.get(f"/v1/streams/{stream_id}/completion")).raise_for_status().json()
            assert await parts.nth(number).text_content() == whole["choices"][0]["message"]["content"]


async def test_a_page_with_event_source_stops_asking_for_an_answer_that_is_gone(event_source: str, page: Page) -> None:
    async with network_to(event_source) as network:
        events = re.compile(r"/v1/streams/[^/]+/events")
        await page.route(events, lambda route: route.fulfill(status=404))
        await page.route(re.compile(r"/v1/streams/[^/]+$"), lambda route: route.fulfill(status=404))
        await page.goto(network.url)
        await expect(page.locator("#answer")).to_have_attribute("data-status", "gone")
