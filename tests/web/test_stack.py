"""The pages on real processes: broker, simulator, worker and gateways."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.broker import Broker, free_port
from tests.stack import Gateway, Part, Simulator, Worker, closing_all, wait_for_http
from tests.web.conftest import WEB
from tests.web.visit import reload, visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("packages")]

DRAWN = '.reply[data-state="ended"][aria-busy="false"]'
WRITING = '.reply[data-state="streaming"] .text p'

CANCEL = """async (url) => {
  const answer = await fetch(url, { method: "POST" });
  return { status: answer.status, code: (await answer.json()).error?.code };
}"""


@pytest.fixture(scope="module")
def provider(broker: Broker) -> Iterator[Simulator]:
    """A simulator, and a worker that runs what it is asked."""
    simulator = Simulator()
    worker = Worker(broker.url, simulator.url)
    with closing_all(worker, simulator):
        yield simulator


@pytest.fixture(scope="module")
def gateway(broker: Broker, provider: Simulator) -> Iterator[Gateway]:
    gateway = Gateway(broker.url, MANYCAST_WEB_DIR=str(WEB))
    with closing_all(gateway):
        yield gateway


@pytest_asyncio.fixture(loop_scope="session")
async def other(browser: Browser) -> AsyncIterator[Page]:
    """A page in a browser of somebody else."""
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


async def ask(page: Page, url: str, text: str, model: str = "demo") -> str:
    """Ask on the chat page; answers the id of the stream."""
    await visit(page, url)
    await page.wait_for_selector("#model:not([hidden])")
    await page.select_option("#model", model)
    await page.fill("#question", text)
    await page.keyboard.press("Enter")
    stream = await page.locator(".reply").get_attribute("data-stream")
    assert stream
    return stream


async def whole(page: Page) -> str:
    """The text of the answer, when it has ended."""
    await page.wait_for_selector(DRAWN, timeout=30_000)
    return str(await page.locator(".text").inner_text())


async def truth(page: Page, url: str, stream: str) -> str:
    """The same answer, from a page that came after its end."""
    await visit(page, f"{url}/watch#{stream}")
    return await whole(page)


async def test_two_pages_show_one_stream_and_a_reload_in_the_middle_keeps_all_of_it(
    page: Page, other: Page, gateway: Gateway
) -> None:
    stream = await ask(page, gateway.url, "How do two pages show the same?")
    await visit(other, f"{gateway.url}/watch#{stream}")
    await page.wait_for_selector(WRITING)
    await other.wait_for_selector(WRITING)
    await expect(page.locator(".viewers")).to_have_text("2 watching")
    await reload(page)
    await reload(other)
    text = await whole(page)
    assert len(text) > 300
    assert text == await whole(other) == await truth(other, gateway.url, stream)


async def test_five_seconds_offline_lose_nothing(page: Page, other: Page, gateway: Gateway) -> None:
    stream = await ask(page, gateway.url, "What does a tunnel do?", "demo-long")
    await page.wait_for_selector(WRITING)
    await page.context.set_offline(True)
    await asyncio.sleep(5)  # the issue's own number; nothing is waited for
    await page.context.set_offline(False)
    await page.wait_for_selector(WRITING)
    await page.click("#stop")
    text = await whole(page)
    assert text == await truth(other, gateway.url, stream)


async def test_a_gateway_killed_in_the_middle_loses_nothing(
    page: Page, other: Page, broker: Broker, provider: Simulator
) -> None:
    settings = {"REDIS_URL": broker.url, "MANYCAST_PORT": str(free_port()), "MANYCAST_WEB_DIR": str(WEB)}
    url = f"http://127.0.0.1:{settings['MANYCAST_PORT']}"
    first = Part("gateway", **settings)
    wait_for_http(first, f"{url}/healthz")
    stream = await ask(page, url, "Who watches the gateways?")
    await page.wait_for_selector(WRITING)
    first.process.kill()
    first.wait()
    await expect(page.locator(".state")).to_contain_text("Reconnecting")
    with closing_all(first, second := Part("gateway", **settings)):
        wait_for_http(second, f"{url}/healthz")
        text = await whole(page)
        assert text == await truth(other, url, stream)


async def test_stop_is_seen_by_everyone_and_reaches_the_provider(page: Page, other: Page, gateway: Gateway) -> None:
    stream = await ask(page, gateway.url, "Go on for ever", "demo-long")
    await visit(other, f"{gateway.url}/watch#{stream}")
    await other.wait_for_selector(WRITING)
    await page.click("#stop")
    for watching in (page, other):
        await expect(watching.locator(".state")).to_have_text("Stopped.")
    assert await whole(page) == await whole(other)


async def test_stop_is_refused_from_the_side_of_who_watches_and_granted_to_who_asked(
    page: Page, other: Page, gateway: Gateway
) -> None:
    stream = await ask(page, gateway.url, "Go on for ever", "demo-long")
    await visit(other, f"{gateway.url}/watch#{stream}")
    await other.wait_for_selector(WRITING)
    await expect(other.get_by_role("button", name="Stop")).to_have_count(0)
    refused = await other.evaluate(CANCEL, f"/v1/streams/{stream}/cancel")
    assert (refused["status"], refused["code"]) == (403, "ticket_missing")
    await reload(page)
    await page.wait_for_selector(WRITING)
    await page.click("#stop")
    for watching in (page, other):
        await expect(watching.locator(".state")).to_have_text("Stopped.")


async def test_a_private_answer_is_seen_by_who_has_its_link_until_that_is_taken_back(
    page: Page, other: Page, gateway: Gateway
) -> None:
    await visit(page, gateway.url)
    await page.click("#open-settings")
    await page.get_by_label("Who can watch").select_option("private")
    await page.keyboard.press("Escape")
    stream = await ask(page, gateway.url, "Go on in private", "demo-long")
    await page.wait_for_selector(WRITING)
    await visit(other, f"{gateway.url}/watch#{stream}")
    await expect(other.locator(".state")).to_contain_text("This answer is private.")
    await page.click(".share-button")
    link = await page.locator("dialog.share input").input_value()
    await other.goto("about:blank")
    await visit(other, link)
    await other.wait_for_selector(WRITING)
    assert other.url == f"{gateway.url}/watch#{stream}"
    refused = await other.evaluate(CANCEL, f"/v1/streams/{stream}/cancel")
    assert (refused["status"], refused["code"]) == (403, "ticket_scope")
    await page.click("text=Revoke links")
    await expect(page.locator("dialog.share [role=status]")).to_contain_text("Revoked.")
    await expect(other.locator(".state")).to_contain_text("This link was taken back")
    await page.keyboard.press("Escape")
    await reload(page)
    await page.wait_for_selector(WRITING)
    await page.click("#stop")
    await expect(page.locator(".state")).to_have_text("Stopped.")


async def test_who_signs_in_at_one_gateway_is_let_in_at_another_and_signs_out_of_both(
    page: Page, broker: Broker, provider: Simulator
) -> None:
    shut = {"MANYCAST_WEB_DIR": str(WEB), "MANYCAST_PASSWORD": "correct horse battery"}
    first, second = (Gateway(broker.url, **shut) for _ in range(2))
    with closing_all(first, second):
        await visit(page, first.url)
        await expect(page.locator("#composer")).to_be_hidden()
        await page.get_by_label("Password or API key").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("neither the password nor an API key")
        await page.get_by_label("Password or API key").fill("correct horse battery")
        await page.keyboard.press("Enter")
        await expect(page.locator("#composer")).to_be_visible()
        await ask(page, second.url, "Who am I?", "demo-fast")
        await whole(page)
        await page.click("#open-settings")
        await expect(page.locator("#caller")).to_have_text("Signed in with the password")
        await page.click("text=Sign out")
        await expect(page.locator("#secret")).to_be_visible()
        await visit(page, first.url)
        await expect(page.locator("#secret")).to_be_visible()


async def test_where_no_key_is_set_up_the_page_says_that_only_this_machine_may_ask(
    page: Page, gateway: Gateway
) -> None:
    await visit(page, gateway.url)
    await expect(page.locator("#admission")).to_contain_text("Only this machine can start runs")


@pytest.mark.parametrize(
    ("model", "words"),
    [("fault-401", "401"), ("fault-truncated", "stopped in the middle"), ("fault-drop", "connection to the provider")],
)
async def test_a_fault_of_the_provider_is_told(page: Page, gateway: Gateway, model: str, words: str) -> None:
    await ask(page, gateway.url, "Break", model)
    await expect(page.locator(".fault")).to_contain_text(words)


async def test_the_page_says_that_a_simulator_answers(page: Page, gateway: Gateway) -> None:
    await visit(page, gateway.url)
    await expect(page.locator("#hint")).to_contain_text("A simulator answers here")


@pytest.mark.parametrize("model", ["demo-reasoning", "demo-tools", "demo-choices", "fault-surrogate", "fault-huge"])
async def test_every_kind_of_answer_is_shown_the_same_to_both(
    page: Page, other: Page, gateway: Gateway, model: str
) -> None:
    stream = await ask(page, gateway.url, "Show me", model)
    await page.wait_for_selector(DRAWN, timeout=60_000)
    await visit(other, f"{gateway.url}/watch#{stream}")
    await other.wait_for_selector(DRAWN, timeout=60_000)
    shown = "document.querySelector('.choices').textContent"
    assert await page.evaluate(shown)
    assert await page.evaluate(shown) == await other.evaluate(shown)
