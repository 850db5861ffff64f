"""Opening a page of ours in a browser."""

from playwright.async_api import Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

READY = "html[data-ready]"
PATIENCE_MS = 5000


async def visit(page: Page, url: str) -> None:
    """Go there and wait until the page works.

    Twice where need be: Chromium drops what it is loading when the machine gets another network interface, as it does
    whenever a container starts beside the tests.
    """
    try:
        await page.goto(url)
        await page.wait_for_selector(READY, timeout=PATIENCE_MS)
    except PlaywrightTimeout:
        await page.goto("about:blank")
        await page.goto(url)
        await page.wait_for_selector(READY)
