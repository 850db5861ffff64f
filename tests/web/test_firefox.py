"""The chat and the watch page in Debian's Firefox: asked, written, stopped, kept, shared and watched."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from tests.clients.sse.firefox import Firefox
from tests.viewers import until
from tests.web.peer import NEARBY, SIGNED_OUT, Peer
from tests.web.test_page import DIAGRAM, START, chunk, done

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("packages")]

PATIENCE_S = 60
ENTER = "\ue007"
TEXT = "A **bold** word and $x^2$\n\n```python\nx = 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"


@dataclass
class Tab:
    """One tab of the browser."""

    firefox: Firefox
    id: str

    async def get(self, expression: str) -> Any:
        return await self.firefox.evaluate(self.id, expression)

    async def shows(self, expression: str) -> None:
        """Waits until the expression is true in the page. Before a page is there, it is not."""

        careful = f"(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()"
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await self.get(careful):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = await self.get("document.body.innerText")
            raise AssertionError(f"{expression} did not become true on this page: {text}") from None

    async def press(self, keys: str) -> None:
        await self.firefox.press(self.id, keys)


async def open_page(firefox: Firefox, url: str) -> Tab:
    tab = Tab(firefox, await firefox.open_tab(url))
    await tab.shows("'ready' in document.documentElement.dataset")
    return tab


async def test_a_question_is_answered_stopped_kept_shared_and_watched(firefox: Firefox, peer: Peer) -> None:
    peer.admission = NEARBY
    peer.tell(START + chunk(2, content=TEXT) + "…")
    tab = await open_page(firefox, peer.url)
    await tab.get("document.querySelector('#question').focus()")
    await tab.press(f"Why?{ENTER}")
    await tab.shows("document.querySelector('.text strong').textContent === 'bold'")
    await tab.shows("document.querySelector('.text math msup')")
    await tab.shows(
        "document.querySelector('.code pre').textContent === 'x = 1' && document.querySelector('.table td')"
    )
    await tab.shows("!document.querySelector('#stop').hidden")

    watching = await open_page(firefox, f"{peer.url}/watch#s1")
    await watching.shows("document.querySelector('.text strong').textContent === 'bold'")
    await tab.get("document.querySelector('#stop').click()")
    await until(lambda: peer.cancelled == ["s1"])
    await peer.say(chunk(3, content="The end") + done("1-4", "cancelled"))
    for each in (tab, watching):
        await each.shows("document.querySelector('.text').textContent.endsWith('The end')")
        await each.shows("document.querySelector('.reply').dataset.status === 'cancelled'")

    peer.tell(START + chunk(2, content=TEXT + "The end") + done("1-4", "cancelled"))
    await firefox.call("browsingContext.reload", context=tab.id, wait="none")
    await tab.shows("document.querySelector('.text').textContent.endsWith('The end')")
    await tab.get("document.querySelector('.share-button').click()")
    await tab.shows("document.querySelector('dialog.share svg[role=img]')")
    assert await tab.get("document.querySelector('dialog.share input').value") == f"{NEARBY['share_url']}watch#s1"


async def test_a_diagram_a_failure_and_the_form_to_sign_in_are_shown_when_needed(firefox: Firefox, peer: Peer) -> None:
    """What is loaded when it is used."""
    error = {"code": "rate_limit_exceeded", "message": "Slow down.", "http_status": 429}
    peer.tell(START + chunk(2, content=DIAGRAM) + done("1-3", "failed", error))
    tab = await open_page(firefox, f"{peer.url}/watch#s1")
    await tab.shows("document.querySelector('.fault strong').textContent === 'Rate limit reached.'")
    await tab.get("document.querySelector('.code-head .text-button').click()")
    await tab.shows("document.querySelector('.diagram [role=status]').textContent === ''")
    await tab.shows("document.querySelector('.diagram iframe').clientHeight > 40")

    peer.admission = SIGNED_OUT
    chat = await open_page(firefox, peer.url)
    await chat.shows("document.querySelector('#sign-in-words').textContent === 'Sign in to ask questions here.'")
    await chat.get("document.querySelector('#secret').focus()")
    await chat.press(f"{peer.secret}{ENTER}")
    await chat.shows("!document.body.classList.contains('shut') && document.querySelector('#composer').offsetHeight")


async def test_an_unknown_address_gets_a_page(firefox: Firefox, peer: Peer) -> None:
    tab = await open_page(firefox, f"{peer.url}/nothing/here")
    await tab.shows("document.querySelector('.missing h1').textContent === 'Page not found'")


async def test_the_language_of_the_browser_selects(firefox: Firefox, peer: Peer) -> None:
    """The languages of a new profile are set before the page's own scripts run."""
    await firefox.call(
        "script.addPreloadScript",
        functionDeclaration="() => Object.defineProperty(navigator, 'languages', { get: () => ['fr', 'de-DE'] })",
    )
    peer.tell(START + chunk(2, content=TEXT) + done("1-3"))
    tab = await open_page(firefox, f"{peer.url}/watch#s1")
    await tab.shows("document.querySelector('.replay').textContent === 'Noch einmal abspielen'")
    await tab.shows("document.querySelector('.cost').textContent === 'erste Worte nach 0,8 s · 4,0 s insgesamt'")
    await tab.shows("document.documentElement.matches('[lang=de-DE]:not([data-unworded])')")
    await tab.shows("getComputedStyle(document.body).visibility === 'visible'")
