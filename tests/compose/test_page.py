"""The pages on the real stack, in a real browser: through Caddy, from whichever gateway."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.compose.conftest import GATEWAYS, WORKERS
from tests.compose.stack import Stack, docker
from tests.web.conftest import browser, chromium, page  # noqa: F401 -- fixtures: found by their names
from tests.web.visit import visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

WRITING = '.reply[data-state="streaming"] .text p'
DRAWN = '.reply[data-state="ended"][aria-busy="false"]'


@pytest_asyncio.fixture(loop_scope="session")
async def other(browser: Browser) -> AsyncIterator[Page]:  # noqa: F811
    """A page in a browser of somebody else."""
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


async def test_two_browsers_show_one_answer_through_a_reload_and_the_loss_of_every_gateway(
    stack: Stack,
    page: Page,  # noqa: F811
    other: Page,
) -> None:
    await visit(page, stack.address())
    await page.wait_for_selector("#model:not([hidden])")
    await page.select_option("#model", "demo-long")
    await page.fill("#question", "Who watches the gateways?")
    await page.keyboard.press("Enter")
    stream = await page.locator(".reply").get_attribute("data-stream")
    await visit(other, f"{stack.address()}/watch#{stream}")
    await page.wait_for_selector(WRITING)
    await other.wait_for_selector(WRITING)
    await other.reload()
    await other.wait_for_selector(WRITING)
    await asyncio.to_thread(docker, "kill", *stack.containers("gateway"))
    await expect(page.locator(".state")).to_contain_text("Reconnecting")
    await asyncio.to_thread(stack.up, GATEWAYS, WORKERS)
    for each in (page, other):
        await each.wait_for_selector(DRAWN, timeout=90_000)
    text = await page.locator(".text").inner_text()
    assert text == await other.locator(".text").inner_text()
    await other.reload()
    await other.wait_for_selector(DRAWN)
    assert text == await other.locator(".text").inner_text()
    assert len(text) > 5000
