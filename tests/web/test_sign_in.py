"""Who may ask: what the page shows to those who may not, and how they come in."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Dialog, Page, expect

from gateway.access.authenticator import LOCAL_ONLY
from tests.web.peer import SIGNED_IN, SIGNED_OUT, Peer
from tests.web.test_page import START, ask, chunk, done
from tests.web.tickets import refuse
from tests.web.visit import reload, serious_violations, visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("packages")]

NEAR = {"caller": None, "may_start": True, "sign_in": False, "message": LOCAL_ONLY}
FAR = {"caller": None, "may_start": False, "sign_in": False, "message": "Only that machine can start runs."}


async def test_a_person_without_access_is_told_why_in_place_of_the_composer(page: Page, peer: Peer) -> None:
    peer.admission = FAR
    await visit(page, peer.url)
    await expect(page.locator("#sign-in-words")).to_have_text("Only that machine can start runs.")
    await expect(page.locator("#secret")).to_be_hidden()
    await expect(page.locator("#composer")).to_be_hidden()
    await expect(page.locator("#suggestions")).to_be_hidden()


async def test_where_only_this_machine_may_ask_a_line_says_so(page: Page, peer: Peer) -> None:
    peer.admission = NEAR
    await visit(page, peer.url)
    await expect(page.locator("#admission")).to_have_text(LOCAL_ONLY)
    await expect(page.locator("#composer")).to_be_visible()


async def test_signing_in_takes_the_keyboard_alone_and_leaves_no_secret_behind(page: Page, peer: Peer) -> None:
    peer.admission = SIGNED_OUT
    await visit(page, peer.url)
    field = page.get_by_label("Password or API key")
    await expect(field).to_be_focused()
    await expect(field).to_have_attribute("type", "password")
    await page.keyboard.type("wrong horse")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("That is neither the password nor an API key.")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_be_focused()
    await page.keyboard.type(peer.secret)  # what was wrong is selected
    await page.keyboard.press("Enter")
    await expect(page.locator("#question")).to_be_focused()
    await expect(page.locator("#sign-in-form")).to_be_hidden()
    assert await field.input_value() == ""
    kept = await page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie")
    assert peer.secret not in kept
    assert "a-session" not in kept


async def test_too_many_attempts_to_sign_in_are_told_with_the_time_to_wait(page: Page, peer: Peer) -> None:
    peer.admission = SIGNED_OUT
    await visit(page, peer.url)
    peer.refusal = refuse(429, "rate_limit_exceeded", "No more than 10 requests a minute.", {"Retry-After": "6"})
    await page.fill("#secret", peer.secret)
    await page.click("#sign-in button")
    await expect(page.get_by_role("alert")).to_have_text("No more than 10 requests a minute. Try again in 6 s.")
    await expect(page.locator("#sign-in-form")).to_be_visible()


async def test_a_question_after_the_end_of_the_session_is_answered_after_signing_in(page: Page, peer: Peer) -> None:
    peer.admission = SIGNED_IN
    peer.tell(START + chunk(2, content="An answer") + done("1-3"))
    await visit(page, peer.url)
    peer.admission = SIGNED_OUT
    await ask(page, peer, "A long question")
    await expect(page.locator("#secret")).to_be_focused()
    await expect(page.locator(".fault")).to_contain_text("Sign in to have this answered.")
    await expect(page.locator(".bubble")).to_have_text("A long question")
    await page.fill("#secret", peer.secret)
    await page.keyboard.press("Enter")
    await expect(page.locator(".text")).to_have_text("An answer")
    await expect(page.locator(".fault")).to_have_count(0)
    assert peer.bodies[1]["messages"] == [{"role": "user", "content": "A long question"}]


async def test_a_refused_question_survives_a_reload(page: Page, peer: Peer) -> None:
    peer.admission = SIGNED_IN
    peer.tell(START + chunk(2, content="An answer") + done("1-3"))
    await visit(page, peer.url)
    peer.admission = SIGNED_OUT
    await ask(page, peer)
    await expect(page.locator("#secret")).to_be_focused()
    await reload(page)
    await expect(page.locator("#secret")).to_be_focused()
    await page.keyboard.type(peer.secret)
    await page.keyboard.press("Enter")
    await expect(page.locator("#question")).to_be_focused()
    assert len(peer.bodies) == 1
    await page.click("text=Try again")
    await expect(page.locator(".text")).to_have_text("An answer")


async def test_an_answer_can_be_stopped_when_no_other_may_be_asked_for(page: Page, peer: Peer) -> None:
    peer.admission = SIGNED_IN
    peer.tell(START + chunk(2, content="some\n") + "…")
    await ask(page, peer)
    await expect(page.locator(".text")).to_have_text("some")
    peer.admission = SIGNED_OUT
    await reload(page)
    await expect(page.locator("#sign-in-form")).to_be_visible()
    await page.click("#stop")
    await peer.say(done("1-3", "cancelled"))
    await expect(page.locator(".state")).to_have_text("Stopped.")
    await expect(page.locator("#composer")).to_be_hidden()


async def test_who_is_signed_in_is_named_and_may_sign_out(page: Page, peer: Peer) -> None:
    peer.admission = SIGNED_IN
    await visit(page, peer.url)
    await page.click("#open-settings")
    await expect(page.locator("#caller")).to_have_text("Signed in with the key “ann”")
    await page.click("text=Sign out")
    await expect(page.locator("#secret")).to_be_focused()
    await expect(page.locator("#settings")).to_be_hidden()


async def test_signing_out_removes_private_answers_from_this_browser_if_the_reader_agrees(
    page: Page, peer: Peer
) -> None:
    peer.admission = SIGNED_IN
    peer.tell(START + chunk(2, content="x") + done("1-3"))
    await visit(page, peer.url)
    for visibility in ("unlisted", "private"):
        await page.click("#new")
        await page.click("#open-settings")
        await page.get_by_label("Who can watch").select_option(visibility)
        await page.keyboard.press("Escape")
        await page.fill("#question", visibility)
        await page.keyboard.press("Enter")
        await expect(page.locator('.reply[data-state="ended"]')).to_be_visible()
    answers = [False, True]

    async def answer(dialog: Dialog) -> None:
        await (dialog.accept() if answers.pop(0) else dialog.dismiss())

    page.on("dialog", answer)
    await page.click("#open-settings")
    await page.click("#sign-out")
    async with asyncio.timeout(60):
        while len(answers) > 1:
            await asyncio.sleep(0.01)
    await expect(page.locator("#conversation-list li")).to_have_count(2)
    await page.click("#sign-out")
    await expect(page.locator("#conversation-list a")).to_have_count(1)
    await expect(page.locator("#conversation-list a")).to_have_text("unlisted")
    await expect(page.locator(".question")).to_have_count(0)
    kept = await page.evaluate("JSON.stringify(Object.keys(localStorage).map((key) => localStorage[key]))")
    assert '"title' in kept.replace("\\", "")
    assert "p_2" not in kept


async def test_whom_a_proxy_names_is_named_and_signs_out_there(page: Page, peer: Peer) -> None:
    peer.admission = {**SIGNED_IN, "caller": "user:ann@x.test"}
    await visit(page, peer.url)
    await page.click("#open-settings")
    await expect(page.locator("#caller")).to_have_text("Signed in as ann@x.test")
    await expect(page.locator("#sign-out")).to_be_hidden()


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (429, "rate_limit_exceeded", "Rate limit reached."),
        (429, "too_many_runs", "Too many of your answers"),
        (403, "model_not_allowed", "You can't use this model."),
    ],
)
async def test_a_limit_is_told_in_words_and_may_be_tried_again(
    page: Page, peer: Peer, status: int, code: str, words: str
) -> None:
    peer.admission = SIGNED_IN
    peer.refusal = refuse(status, code, "In the gateway's words.", {"Retry-After": "20"})
    peer.tell(START + chunk(2, content="An answer") + done("1-3"))
    await ask(page, peer)
    await expect(page.locator(".fault")).to_contain_text(words)
    await expect(page.locator(".fault")).to_contain_text("In the gateway's words. Try again in 20 s.")
    await expect(page.locator("#sign-in-form")).to_be_hidden()
    peer.refusal = None
    await page.click(".fault button")
    await expect(page.locator(".text")).to_have_text("An answer")


async def test_models_are_looked_up_again_after_signing_in(page: Page, peer: Peer) -> None:
    peer.admission = SIGNED_OUT
    await visit(page, peer.url)
    await expect(page.locator("#model option")).to_have_count(1)
    peer.models.append({"id": "n", "object": "model", "created": 0, "owned_by": "x"})
    await page.fill("#secret", peer.secret)
    await page.keyboard.press("Enter")
    await expect(page.locator("#model option")).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_serious_violation_at_the_sign_in(
    page: Page, peer: Peer, packages: Path, scheme: Any
) -> None:
    axe = (packages / "axe-core/axe.min.js").read_text()
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    peer.admission = SIGNED_OUT
    await visit(page, peer.url)
    await page.fill("#secret", "wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_be_visible()
    assert await serious_violations(page, axe) == []
    await page.fill("#secret", peer.secret)
    await page.keyboard.press("Enter")
    await expect(page.locator("#question")).to_be_focused()
    await page.click("#open-settings")
    await expect(page.locator("#caller")).to_be_visible()
    assert await serious_violations(page, axe) == []
