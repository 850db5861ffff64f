"""The pages on the real stack, in a real browser: through Caddy, from whichever gateway."""

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.compose.conftest import GATEWAYS, WORKERS
from tests.compose.stack import Stack, docker
from tests.web.conftest import browser, chromium, other, page  # noqa: F401 -- fixtures: found by their names
from tests.web.page_on_stack import DRAWN, WRITING, PageOnStack, ask
from tests.web.visit import reload, visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def address(stack: Stack) -> str:
    return stack.address()


class TestOnContainers(PageOnStack):
    """What holds on each kind of stack."""


async def test_two_browsers_show_one_answer_through_a_reload_and_the_loss_of_every_gateway(
    stack: Stack,
    address: str,
    page: Page,  # noqa: F811
    other: Page,  # noqa: F811
) -> None:
    stream = await ask(page, address, "Who watches the gateways?", "demo-long")
    await visit(other, f"{address}/watch#{stream}")
    await page.wait_for_selector(WRITING)
    await other.wait_for_selector(WRITING)
    await reload(other)
    await other.wait_for_selector(WRITING)
    await asyncio.to_thread(docker, "kill", *stack.containers("gateway"))
    await expect(page.locator(".state")).to_contain_text("Reconnecting")
    await asyncio.to_thread(stack.up, GATEWAYS, WORKERS)
    for each in (page, other):
        await each.wait_for_selector(DRAWN, timeout=90_000)
    text = await page.locator(".text").inner_text()
    assert text == await other.locator(".text").inner_text()
    await reload(other)
    await other.wait_for_selector(DRAWN)
    assert text == await other.locator(".text").inner_text()
    assert len(text) > 5000
