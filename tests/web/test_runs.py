"""The developers' page on real processes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.broker import Broker
from tests.stack import Gateway, Simulator, Worker, closing_all
from tests.web.conftest import WEB
from tests.web.peer import SIGNED_OUT, Peer
from tests.web.visit import serious_violations, visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def url(broker: Broker) -> Iterator[str]:
    """Where runs are listed."""
    simulator = Simulator()
    worker = Worker(broker.url, simulator.url)
    gateway = Gateway(broker.url, MANYCAST_WEB_DIR=str(WEB), MANYCAST_LIST_RUNS="1")
    with closing_all(gateway, worker, simulator):
        yield gateway.url


async def start(page: Page, url: str, model: str, text: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    stream: str = (await (await page.request.post(f"{url}/v1/streams", data=body)).json())["id"]
    return stream


async def test_a_run_appears_by_itself_and_shows_its_pace_and_its_raw_events(page: Page, url: str) -> None:
    await visit(page, f"{url}/runs")
    stream = await start(page, url, "demo-long", "What does it do?")
    row = page.locator(f'tr[data-id="{stream}"]')
    await expect(row).to_contain_text("running")
    await row.locator("a").click()
    await expect(page.locator("#detail h2")).to_have_text("What does it do?")
    await expect(page.locator(".event-start .position")).to_have_text("1-1")
    await expect(page.locator(".chart rect").nth(1)).to_be_attached()
    await expect(row.locator("td").nth(5)).to_have_text("1")
    await page.request.post(f"{url}/v1/streams/{stream}/cancel")
    await expect(page.locator(".event-done code")).to_contain_text('"status":"cancelled"')
    await expect(row).to_contain_text("cancelled")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_failed_run_shows_its_error_to_everyone(page: Page, url: str, packages: Path, scheme: Any) -> None:
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    stream = await start(page, url, "fault-401", "Break")
    await visit(page, f"{url}/runs#{stream}")
    await expect(page.locator(".facts")).to_contain_text("Error")
    await expect(page.locator(f'tr[data-id="{stream}"]')).to_contain_text("failed")
    assert await serious_violations(page, (packages / "axe-core/axe.min.js").read_text()) == []


async def test_a_server_that_lists_no_runs_says_so(page: Page, peer: Peer) -> None:
    await visit(page, f"{peer.url}/runs")
    await expect(page.locator("#trouble")).to_have_text("This gateway lists no runs.")


async def test_who_must_sign_in_to_see_the_runs_is_shown_the_way(page: Page, peer: Peer) -> None:
    peer.admission = SIGNED_OUT
    await visit(page, f"{peer.url}/runs")
    await expect(page.locator("#trouble")).to_contain_text(SIGNED_OUT["message"])
    await page.click("#trouble a")
    await expect(page.locator("#secret")).to_be_visible()
