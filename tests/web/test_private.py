"""Private streams: who asked hands out tickets and takes them back, who watches comes in with one."""

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from playwright.async_api import Page, Route, expect

from tests.web.peer import NEARBY, SIGNED_IN, Peer
from tests.web.test_page import START, ask, chunk, done
from tests.web.visit import reload, serious_violations, visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("packages")]

BEGUN = START + chunk(2, content="begun\n") + "…"


async def ask_privately(page: Page, peer: Peer) -> None:
    """Leaves an answer that has begun."""
    peer.admission = SIGNED_IN
    peer.tell(BEGUN)
    await visit(page, peer.url)
    await page.click("#open-settings")
    await page.get_by_label("Who can watch").select_option("private")
    await page.keyboard.press("Escape")
    await ask(page, peer)
    await expect(page.locator(".text")).to_have_text("begun")


async def test_a_private_answer_is_asked_for_watched_and_stopped_by_its_own_page(page: Page, peer: Peer) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await ask_privately(page, peer)
    assert peer.bodies[0]["manycast"] == {"visibility": "private"}
    await reload(page)
    await expect(page.locator(".text")).to_have_text("begun")
    await page.click("#stop")
    await peer.say(done("1-3", "cancelled"))
    await expect(page.locator(".state")).to_have_text("Stopped.")
    assert peer.cancelled == ["p_1"]
    assert {urlparse(url).path for url in asked if "ticket=" in url} == {"/v1/streams/p_1/cancel"}


async def test_an_older_gateway_is_asked_for_nothing_private(page: Page, peer: Peer) -> None:
    peer.tell(START + done("1-2"))
    await ask(page, peer)
    await expect(page.locator(".cost")).to_be_visible()
    await page.click("#open-settings")
    await expect(page.locator("#theme")).to_be_visible()
    await expect(page.locator("#visibility")).to_be_hidden()
    assert "manycast" not in peer.bodies[0]


async def test_the_link_of_a_private_answer_carries_a_ticket_and_says_until_when(page: Page, peer: Peer) -> None:
    await ask_privately(page, peer)
    await page.click(".share-button")
    await expect(page.locator("dialog.share input")).to_have_value(f"{peer.url}/watch#p_1.view-p_1-0.signed")
    await expect(page.locator("dialog.share [role=status]")).to_contain_text(re.compile(r"until .*\d\d"))
    await page.keyboard.press("Escape")
    peer.admission = NEARBY
    await page.click(".share-button")
    await expect(page.locator("dialog.share input")).to_have_value(f"{NEARBY['share_url']}watch#p_1.view-p_1-0.signed")
    await expect(page.locator("dialog.share svg[role=img]")).to_be_visible()


async def test_revoked_links_let_nobody_in_and_who_asked_watches_on(page: Page, peer: Peer) -> None:
    await ask_privately(page, peer)
    await page.click(".share-button")
    await expect(page.locator("dialog.share input")).to_be_visible()
    peer.tell(chunk(3, content="\nmore\n") + "…")

    async def revoke(route: Route) -> None:
        async with asyncio.timeout(60):
            while peer.lines:  # whoever watches by a ticket that is void is sent away
                await asyncio.sleep(0.01)
        await route.continue_()

    await page.route("**/tickets", revoke, times=1)
    await page.click("text=Revoke links")
    await expect(page.locator("dialog.share [role=status]")).to_contain_text("Revoked.")
    await expect(page.locator("dialog.share input")).to_have_count(0)
    await expect(page.locator(".text")).to_have_text("begunmore")
    assert peer.asked == [None, "1-2"]
    await page.click("text=Make a new link")
    await expect(page.locator("dialog.share input")).to_have_value(f"{peer.url}/watch#p_1.view-p_1-1.signed")
    await page.keyboard.press("Escape")
    await reload(page)
    await page.click("#stop")
    await peer.say(done("1-4", "cancelled"))
    await expect(page.locator(".state")).to_have_text("Stopped.")


async def test_a_link_that_cannot_be_revoked_is_reported_and_stays(page: Page, peer: Peer) -> None:
    await ask_privately(page, peer)
    await page.click(".share-button")
    await expect(page.locator("dialog.share input")).to_be_visible()
    await page.route("**/tickets", lambda route: route.abort())
    peer.tell(chunk(3, content="\nmore\n") + "…")
    await page.click("text=Revoke links")
    await expect(page.locator("dialog.share [role=status]")).to_have_text(
        "The links could not be revoked: The server cannot be reached."
    )
    await expect(page.locator(".text")).to_have_text("begunmore")


async def test_a_link_that_cannot_be_made_says_why(page: Page, peer: Peer) -> None:
    await ask_privately(page, peer)
    peer.tickets.revoked += 1
    await page.click(".share-button")
    await expect(page.locator("dialog.share [role=status]")).to_contain_text(
        "The link could not be made: This ticket was"
    )


async def test_a_ticket_leaves_the_address_and_no_request_for_events_carries_it(page: Page, peer: Peer) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    peer.tell(BEGUN)
    await visit(page, f"{peer.url}/watch#p_1.view-p_1-0.signed")
    await expect(page.locator(".text")).to_have_text("begun")
    assert page.url == f"{peer.url}/watch#p_1"
    assert await page.evaluate("document.cookie") == ""
    assert [url for url in asked if "view-" in url.partition("#")[0]] == []
    await expect(page.locator("#share")).to_be_hidden()
    await reload(page)
    await expect(page.locator(".text")).to_have_text("begun")


@pytest.mark.parametrize(
    ("ticket", "words"),
    [
        (".expired", "This link has expired."),
        (".view-p_1-7.signed", "This link was revoked"),
        (".view-p_2-0.signed", "This link is incomplete or invalid"),
        (".view-p_", "This link is incomplete or invalid"),
        ("", "This answer is private."),
    ],
)
async def test_a_ticket_that_lets_nobody_in_is_told_in_words_and_not_tried_again(
    page: Page, peer: Peer, ticket: str, words: str
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await visit(page, f"{peer.url}/watch#p_1{ticket}")
    await expect(page.locator(".state")).to_contain_text(words)
    await expect(page.locator("#live")).to_be_hidden()
    knocks = [url for url in asked if "/v1/streams" in url]
    assert len(knocks) == (1 if ticket else 3)  # without one: the question, the events, and why not


async def test_a_gateway_that_is_unwell_is_asked_again_with_the_ticket(page: Page, peer: Peer) -> None:
    peer.tickets.cookie_status = 503
    peer.tell(BEGUN)
    await visit(page, f"{peer.url}/watch#p_1.view-p_1-0.signed")
    await expect(page.locator(".state")).to_contain_text("Reconnecting")
    peer.tickets.cookie_status = 0
    await expect(page.locator(".text")).to_have_text("begun")


async def test_a_viewer_that_is_disconnected_is_told_why(page: Page, peer: Peer) -> None:
    peer.tell(BEGUN)
    await visit(page, f"{peer.url}/watch#p_1.view-p_1-0.signed")
    await expect(page.locator(".text")).to_have_text("begun")
    peer.tickets.revoked += 1
    peer.hang_up()
    await expect(page.locator(".state")).to_contain_text("This link was revoked")
    await expect(page.locator(".text")).to_have_text("begun")


async def test_another_link_in_the_same_tab_is_followed(page: Page, peer: Peer) -> None:
    peer.tell(BEGUN)
    await visit(page, f"{peer.url}/watch#p_1.expired")
    await expect(page.locator(".state")).to_contain_text("This link has expired.")
    await page.evaluate("location.hash = 'p_2.view-p_2-0.signed'")
    await expect(page.locator(".text")).to_have_text("begun")
    assert page.url == f"{peer.url}/watch#p_2"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_serious_violation_in_what_is_private(
    page: Page, peer: Peer, packages: Path, scheme: Any
) -> None:
    axe = (packages / "axe-core/axe.min.js").read_text()
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await ask_privately(page, peer)
    await page.click(".share-button")
    await expect(page.locator("dialog.share .note")).to_be_visible()
    assert await serious_violations(page, axe) == []
    await page.keyboard.press("Escape")
    peer.admission = NEARBY
    await page.click(".share-button")
    await expect(page.locator("dialog.share svg[role=img]")).to_be_visible()
    assert await serious_violations(page, axe) == []
    await visit(page, f"{peer.url}/watch#p_1.expired")
    await expect(page.locator(".state")).to_contain_text("This link has expired.")
    assert await serious_violations(page, axe) == []
