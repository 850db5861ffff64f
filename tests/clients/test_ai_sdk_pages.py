"""Pages with the AI SDK's `useChat` and with assistant-ui, in a real browser, on the real stack."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from manycast.local_stack.port import free_port
from tests.clients.conftest import Stack, run_program
from tests.clients.snippets import PAPER
from tests.packages import install_node_packages
from tests.stack import Gateway, Process, closing_all, wait_for_http
from tests.web.conftest import browser, chromium, other, page  # noqa: F401 -- fixtures: found by their names
from tests.web.visit import reload, visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOME = Path(__file__).parent / "ai_sdk"
SOME_TEXT = re.compile(r".{40}", re.DOTALL)
QUESTION = "Tell me about rivers"
# They wait in the middle until the test has seen it.
HELD = {"model": "demo-long", "simulator": {"chunks": 80, "hold_after": 20}}
HELD_AFTER_TOOLS = {"model": "demo-tools", "simulator": {"hold_after": 20}}
VERSIONS = ["5.0.0", "5", "6", "7"]
# Versions before 5.0.270, 6.0.297 and 7.0.122 append the replay to an answer that the page has kept.
KEEPING = VERSIONS[1:]
PAGES = [*([version] for version in VERSIONS), *([version, "keeps", "strict"] for version in KEEPING)]
TESTED = "answer, reload, absence, second browser, tools"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    await run_program(await asyncio.to_thread(install_node_packages, HOME), "bundle.mjs", str(folder), cwd=HOME)
    return folder


@pytest.fixture(scope="module")
def address(stack: Stack, site: Path) -> Iterator[str]:
    """A gateway that also serves the pages."""
    gateway = Gateway(stack.redis, MANYCAST_WEB_DIR=str(site))
    yield gateway.url
    gateway.close()


class Chat:
    """A chat with its own id, and its page: `keeps` and `strict` are explained in pages/chat.jsx."""

    def __init__(self, address: str, provider: str, version: str, *options: str) -> None:
        self.keeps = "keeps" in options
        self._address = address
        self._provider = provider
        self._page = f"{address}/chat-{version}.html"
        self._query = {"chat": token_hex(8), **dict.fromkeys(options, "yes")}

    @property
    def url(self) -> str:
        return f"{self._page}?{urlencode(self._query)}"

    async def ask(self, view: Page, body: dict[str, Any]) -> None:
        self._query["body"] = json.dumps(body)
        await visit(view, self.url)
        await ask(view, QUESTION)

    async def release(self) -> None:
        """Lets the provider go on with a held answer."""
        async with httpx2.AsyncClient(base_url=self._provider) as http:
            (await http.post("/simulator/release")).raise_for_status()

    async def text(self, stream_id: str) -> str:
        """The text of the answer, after its end, from another source than the page."""
        async with httpx2.AsyncClient(base_url=self._address) as http, asyncio.timeout(60):
            while (await http.get(f"/v1/streams/{stream_id}")).json()["status"] != "completed":
                await asyncio.sleep(0.05)
            whole = (await http.get(f"/v1/streams/{stream_id}/completion")).raise_for_status().json()
        return str(whole["choices"][0]["message"]["content"])


@pytest.fixture
def chat(address: str, stack: Stack, request: pytest.FixtureRequest) -> Chat:
    """A chat on one of PAGES."""
    return Chat(address, stack.provider, *request.param)


async def ask(view: Page, question: str) -> None:
    await view.get_by_label("Question").fill(question)
    await view.get_by_role("button", name="Ask").click()


async def stream_of(view: Page) -> str:
    """The id of the answer that the page shows, once it shows some of its text."""
    answer = view.locator('article[data-role="assistant"]')
    await expect(answer).to_have_text(SOME_TEXT)
    return str(await answer.get_attribute("id"))


async def messages_of(view: Page, last: str = "") -> list[str]:
    """The texts of the page's messages, after the end of the answer.

    `last`: the end of the answer. A page that has kept the beginning is ready, too, before it resumes the stream.
    """
    await expect(view.locator("article").last).to_contain_text(last)
    await expect(view.locator("main")).to_have_attribute("data-status", "ready")
    await expect(view.get_by_role("alert")).to_have_count(0)
    return await view.locator("article").all_text_contents()


def last_words(messages: list[str]) -> str:
    return " ".join(messages[-1].split()[-5:])


@pytest.mark.parametrize("chat", PAGES, ids="-".join, indirect=True)
async def test_an_answer_is_whole_after_a_reload_after_an_absence_and_in_a_second_browser(
    chat: Chat,
    page: Page,  # noqa: F811
    other: Page,  # noqa: F811
) -> None:
    await chat.ask(page, HELD)
    stream_id = await stream_of(page)
    await expect(page.locator("main")).to_have_attribute("data-status", "streaming")
    await reload(page)
    assert await stream_of(page) == stream_id
    await page.goto("about:blank")
    await chat.release()
    whole = [QUESTION, await chat.text(stream_id)]
    await visit(page, chat.url)
    assert await stream_of(page) == stream_id
    assert await messages_of(page, last_words(whole)) == whole
    if not chat.keeps:
        await visit(other, chat.url)
        assert await stream_of(other) == stream_id
        assert await messages_of(other, last_words(whole)) == whole


@pytest.mark.parametrize("chat", PAGES, ids="-".join, indirect=True)
async def test_a_reload_after_the_result_of_a_tool_makes_no_third_message(
    chat: Chat,
    page: Page,  # noqa: F811
) -> None:
    await chat.ask(page, HELD_AFTER_TOOLS)
    stream_id = await stream_of(page)
    await expect(page.locator("main")).to_have_attribute("data-status", "streaming")
    await reload(page)
    assert await stream_of(page) == stream_id
    await chat.release()
    question, answer = await messages_of(page, "arrived.")
    assert question == QUESTION
    assert answer.startswith("## What the tools said")
    assert answer.endswith("arrived.\n")
    assert answer.count("degrees") == 2
    parts = await page.locator(f'[id="{stream_id}"]').get_attribute("data-parts")
    assert parts == "step-start tool-get_weather tool-get_time step-start text"
    assert await page.evaluate("sessionStorage.getItem('executed')") == "2"


def markdown() -> list[str]:
    """The rows of the table in docs/use-it-with.md."""
    pins = json.loads((HOME / "package.json").read_text())["dependencies"]
    rows = []
    for version in VERSIONS:
        sdk, react = (
            pins[name if version == "7" else f"{name}-{version}"].rpartition("@")[2] for name in ("ai", "@ai-sdk/react")
        )
        limits = "" if version in KEEPING else "a page that keeps the messages shows a resumed answer twice"
        rows.append(f"| `useChat` of @ai-sdk/react {react} | ai {sdk} | {TESTED} | {limits} |")
    ui, adapter = pins["@assistant-ui/react"], pins["@assistant-ui/react-ai-sdk"]
    known = "system prompt, the page's own tools, two questions"
    return [*rows, f"| @assistant-ui/react {ui} | @assistant-ui/react-ai-sdk {adapter}, ai {pins['ai']} | {known} |  |"]


async def test_the_docs_name_the_versions_that_are_tested() -> None:
    assert "\n".join(markdown()) in PAPER


@pytest.fixture(scope="module")
def app(stack: Stack, site: Path) -> Iterator[str]:
    """An app with a route of its own, which calls /v1/responses."""
    home, port = HOME.parent / "responses", free_port()
    command = [install_node_packages(home), "route.mjs", stack.gateway, str(site), str(port)]
    with closing_all(server := Process("route", command, home)):
        wait_for_http(server, f"http://127.0.0.1:{port}/api/chat")
        yield f"http://127.0.0.1:{port}"


async def test_a_page_whose_route_calls_the_responses_api_shows_thoughts_tools_and_answers(
    app: str,
    stack: Stack,
    page: Page,  # noqa: F811
) -> None:
    await visit(page, Chat(app, stack.provider, "7", "keeps", "served").url)
    await ask(page, "How is the weather?")
    await expect(page.locator("article")).to_have_count(2)
    await messages_of(page)
    answer = page.locator('article[data-role="assistant"]')
    parts = await answer.get_attribute("data-parts")
    assert parts == "step-start reasoning tool-get_weather step-start reasoning text"
    await reload(page)
    await ask(page, "Thanks")
    await expect(answer).to_have_count(2)
    assert "Thanks" in (await messages_of(page))[-1]


async def test_assistant_ui_sends_its_system_prompt_and_its_tools_and_shows_the_answer(
    address: str,
    page: Page,  # noqa: F811
) -> None:
    await visit(page, f"{address}/assistant.html")
    await ask(page, "How is the weather?")
    await expect(page.locator("output")).to_have_text("weather: 20")
    answer = page.locator('[data-role="assistant"]')
    await expect(answer).to_contain_text('- `{"city": "weather", "degrees": 20}`')
    await expect(answer).to_contain_text("arrived.")
    await ask(page, "Why is the sky blue?")
    await expect(answer).to_have_count(2)
    await expect(answer.last).to_contain_text("sky")
    await expect(page.get_by_role("alert")).to_have_count(0)
