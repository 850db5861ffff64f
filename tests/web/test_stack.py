"""The pages on real processes: broker, simulator, worker and gateways."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from manycast.local_stack.port import free_port
from tests.broker import Broker
from tests.stack import Gateway, Part, Simulator, Worker, closing_all, wait_for_http
from tests.web.conftest import WEB
from tests.web.page_on_stack import WRITING, PageOnStack, ask, truth, until_drawn, whole
from tests.web.visit import visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("packages")]


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


@pytest.fixture
def address(gateway: Gateway) -> str:
    return gateway.url


class TestOnProcesses(PageOnStack):
    """What holds on each kind of stack."""


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


async def test_a_session_of_one_gateway_holds_and_ends_at_another(
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
    await expect(page.locator("#admission")).to_contain_text("Only this computer can ask questions")


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
    await until_drawn(page)
    await visit(other, f"{gateway.url}/watch#{stream}")
    await until_drawn(other)
    shown = "document.querySelector('.choices').textContent"
    assert await page.evaluate(shown)
    assert await page.evaluate(shown) == await other.evaluate(shown)
