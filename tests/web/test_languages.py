"""The pages in German and in Spanish: the language of the browser selects, and no English sentence is left."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.viewers import until
from tests.web.peer import NEARBY, SIGNED_OUT, Peer, sse
from tests.web.test_page import START, ask, chunk, done
from tests.web.visit import reload, serious_violations, visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("packages")]

LANGUAGES = """Object.defineProperty(navigator, "languages", { get: () => ["fr", "TAG"] });"""
PHONE: Any = {"width": 360, "height": 740}
ANSWER = "Ein *Wort*\n\n```python\nx = 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
ASKED_AT = 1_790_000_000  # in September 2026, in every time zone

SAID = {
    "de-DE": {
        "welcome": "Was möchtest du wissen?",
        "waiting": "Wartet auf die ersten Worte…",
        "viewers": "1.234 sehen zu",
        "cost": "erste Worte nach 0,8 s · 4,0 s insgesamt",
        "copy": "Antwort kopieren",
        "share": "Diese Antwort teilen",
        "settings": "Einstellungen",
        "temperature": "Standard des Modells",
        "failed": "Das Anfragelimit ist erreicht.",
        "retry": "Erneut versuchen",
        "date": r"\d\d?\. September 2026",
        "replay": "Noch einmal abspielen",
        "incomplete": "Dieser Link ist unvollständig",
        "sign_in": "Passwort oder API-Schlüssel",
        "delete": "„Warum?“ löschen",
        "why": "Melde dich an, um hier Fragen zu stellen.",
        "wrong": "Das ist weder das Passwort noch ein API-Schlüssel.",
    },
    "es-MX": {
        "welcome": "¿Qué te gustaría saber?",
        "waiting": "Esperando las primeras palabras…",
        "viewers": "1,234 mirando",
        "cost": "primeras palabras a los 0.8 s · 4.0 s en total",
        "copy": "Copiar la respuesta",
        "share": "Compartir esta respuesta",
        "settings": "Ajustes",
        "temperature": "la predeterminada del modelo",
        "failed": "Se alcanzó el límite de solicitudes.",
        "retry": "Reintentar",
        "date": r"\d\d? de septiembre de 2026",
        "replay": "Volver a reproducir",
        "incomplete": "Este enlace está incompleto",
        "sign_in": "Contraseña o clave de API",
        "delete": "Borrar «Warum?»",
        "why": "Inicia sesión para hacer preguntas aquí.",
        "wrong": "Eso no es ni la contraseña ni una clave de API.",
    },
}
"""What the pages say to a reader of each language."""


@pytest_asyncio.fixture(loop_scope="session", params=SAID)
async def foreign(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """A page on a phone whose reader prefers French, which the page does not speak, and then another language."""
    context = await browser.new_context(locale=request.param, viewport=PHONE, has_touch=True)
    await context.add_init_script(LANGUAGES.replace("TAG", request.param))
    page = await context.new_page()
    crashes: list[str] = []
    page.on("pageerror", lambda error: crashes.append(str(error)))
    yield page
    await context.close()
    assert crashes == []


VISIBILITY = """(time) => {
  for (const animation of document.getAnimations()) Object.assign(animation, { currentTime: time }).pause();
  return getComputedStyle(document.body).visibility;
}"""


async def said_on(page: Page) -> dict[str, str]:
    return SAID[await page.evaluate("document.documentElement.lang")]


async def check_width(page: Page) -> None:
    """Nothing is wider than the screen, and no button is narrower than its words."""
    wide = """() => [...document.querySelectorAll("body *")]
      .filter((each) => each.checkVisibility() && !each.closest(".code, .table, .unseen, .skip"))
      .filter((each) => {
        const { left, right } = each.getBoundingClientRect();
        const cut = each.matches("button, select") && each.scrollWidth > each.clientWidth + 1;
        return left < -1 || right > innerWidth + 1 || cut;
      })
      .map((each) => each.outerHTML.slice(0, 200))"""
    assert await page.evaluate(wide) == []


async def test_the_chat_speaks_the_readers_language(foreign: Page, peer: Peer) -> None:
    peer.admission = NEARBY
    peer.tell(sse("ping", {"state": "waiting"}) + "…")
    await visit(foreign, peer.url)
    said = await said_on(foreign)
    await expect(foreign.get_by_role("heading", level=1)).to_have_text(said["welcome"])
    await check_width(foreign)
    await ask(foreign, peer, "Warum?")
    await expect(foreign.locator(".state")).to_have_text(said["waiting"])
    await peer.say(START + chunk(2, content=ANSWER) + sse("viewers", {"viewers": 1234}))
    await expect(foreign.locator(".viewers")).to_have_text(said["viewers"])
    await check_width(foreign)
    await peer.say(done("1-3"))
    await expect(foreign.locator(".cost")).to_have_text(said["cost"])
    await expect(foreign.get_by_role("button", name=said["copy"])).to_be_visible()
    await foreign.locator(".share-button").click()
    await expect(foreign.get_by_role("dialog", name=said["share"])).to_be_visible()
    await expect(foreign.locator("dialog svg[role=img]")).to_be_visible()
    await check_width(foreign)
    await foreign.keyboard.press("Escape")
    await foreign.get_by_role("button", name=said["settings"]).click()
    await expect(foreign.locator("#settings output")).to_have_text(said["temperature"])
    await check_width(foreign)
    await foreign.keyboard.press("Escape")
    await foreign.locator("[popovertarget=sidebar].narrow-only[data-icon=menu]").click()
    await expect(foreign.get_by_role("button", name=said["delete"])).to_be_visible()
    await check_width(foreign)


async def test_the_watch_page_speaks_the_readers_language(foreign: Page, peer: Peer) -> None:
    about = {"question": "Warum?", "model": "m", "created_at": ASKED_AT}
    peer.status = (200, {"status": "completed", "position": "1-3", **about})
    peer.tell(START + chunk(2, content=ANSWER) + sse("viewers", {"viewers": 1234}) + "…")
    await visit(foreign, f"{peer.url}/watch#s")
    await expect(foreign.locator("#viewers")).to_have_text((await said_on(foreign))["viewers"])
    await check_width(foreign)
    peer.tell(START + chunk(2, content=ANSWER) + done("1-3"))
    await reload(foreign)
    said = await said_on(foreign)
    await expect(foreign.locator(".question .small")).to_have_text(re.compile(said["date"]))
    await expect(foreign.get_by_role("button", name=said["replay"])).to_be_visible()
    await check_width(foreign)
    await visit(foreign, f"{peer.url}/watch")
    await expect(foreign.locator("#turns")).to_contain_text(said["incomplete"])


async def test_failures_and_sign_in_are_told_in_the_readers_language(foreign: Page, peer: Peer) -> None:
    error = {"code": "rate_limit_exceeded", "message": "Slow down.", "http_status": 429}
    peer.tell(START + chunk(2, content="x") + done("1-3", "failed", error))
    await ask(foreign, peer, "Warum?")
    said = await said_on(foreign)
    await expect(foreign.locator(".fault strong")).to_have_text(said["failed"])
    await expect(foreign.get_by_role("button", name=said["retry"])).to_be_visible()
    await check_width(foreign)
    peer.admission = SIGNED_OUT
    await visit(foreign, f"{peer.url}/")
    await expect(foreign.locator("#sign-in-words")).to_have_text(said["why"])
    await foreign.get_by_label(said["sign_in"]).fill("wrong horse")
    await foreign.keyboard.press("Enter")
    await expect(foreign.get_by_role("alert")).to_have_text(said["wrong"])
    await check_width(foreign)


async def test_another_language_breaks_no_rule_of_axe(foreign: Page, peer: Peer, packages: Path) -> None:
    axe = (packages / "axe-core/axe.min.js").read_text()
    peer.tell(START + chunk(2, content=ANSWER) + done("1-3"))
    await ask(foreign, peer, "Warum?")
    await expect(foreign.locator(".cost")).to_be_visible()
    assert await serious_violations(foreign, axe) == []


async def test_a_page_is_shown_only_in_the_readers_language(foreign: Page, peer: Peer) -> None:
    """While its words are on the way, English ones are not shown; if none come for some seconds, they are."""
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    await foreign.route("**/words/*.js", hold)
    await foreign.goto(peer.url, wait_until="commit")
    await foreign.wait_for_selector("#suggestions", state="attached")
    await until(lambda: bool(held))
    assert await foreign.evaluate(VISIBILITY, 0) == "hidden"
    assert await foreign.evaluate(VISIBILITY, 10_000) == "visible"
    await foreign.unroute("**/words/*.js")  # lets them through
    said = await said_on(foreign)
    await expect(foreign.locator("#welcome h1")).to_have_text(said["welcome"])
    await expect(foreign.locator("#welcome h1")).to_be_visible()


async def test_without_its_words_a_page_is_in_english(foreign: Page, peer: Peer) -> None:
    await foreign.route(re.compile("/words/(de|es)"), lambda route: route.fulfill(status=404))
    peer.tell(sse("ping", {"state": "waiting"}) + "…")
    await ask(foreign, peer)
    await expect(foreign.locator(".state")).to_have_text("Waiting for the first words…")
    assert await foreign.evaluate("document.documentElement.lang") == "en"


async def test_a_reader_of_no_language_of_ours_reads_english(browser: Browser, peer: Peer) -> None:
    context = await browser.new_context(locale="fr-FR")
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await visit(page, peer.url)
    assert await page.evaluate("document.documentElement.lang") == "en"
    await expect(page.locator("#welcome h1")).to_have_text("What would you like to know?")
    assert {url.split("/words/")[1] for url in asked if "/words/" in url} == {"en.js"}
    await context.close()
