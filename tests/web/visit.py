"""Opens one of our pages in a browser and waits until it works."""

from playwright.async_api import Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

READY = "html[data-ready]"
PATIENCE_MS = 5000
ATTEMPTS = 2


async def visit(page: Page, url: str) -> None:
    """Opens the page and waits until it works.

    It tries again: Chromium drops what it is loading when the machine gets another network interface, as it does
    whenever a container starts beside the tests.
    """
    try:
        await page.goto(url)
        await page.wait_for_selector(READY, timeout=PATIENCE_MS)
    except PlaywrightTimeout:
        await page.goto("about:blank")
        await page.goto(url)
        await _insist(page)


async def reload(page: Page) -> None:
    """Reloads the page and waits until it works."""
    await page.reload()
    await _insist(page)


async def _insist(page: Page) -> None:
    for _ in range(ATTEMPTS):
        try:
            await page.wait_for_selector(READY, timeout=PATIENCE_MS)
        except PlaywrightTimeout:
            await page.reload()
        else:
            return
    await page.wait_for_selector(READY)


async def serious_violations(page: Page, axe: str) -> list[str]:
    """What axe-core, given as its source, finds serious or worse."""
    await page.evaluate(axe)
    found: list[str] = await page.evaluate(
        """async () => (await axe.run()).violations
             .filter(({ impact }) => impact === "serious" || impact === "critical")
             .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`))"""
    )
    return found
