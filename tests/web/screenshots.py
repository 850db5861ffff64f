"""Pictures of the pages: each state at two widths in two themes, and on a phone in German; and those of the README.

Run it as `make pictures`, or for some states: `python -m tests.web.screenshots completed failed`. Nothing is compared.

They come from the same peer as the tests: a state is looked at for as long as it takes, and no run is needed for it.
"""

import asyncio
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, Page, async_playwright

from simulator.sections import FAN_OUT
from tests.web.conftest import ARGUMENTS, CHROMIUM, serving
from tests.web.peer import NEARBY, SIGNED_IN, SIGNED_OUT, Peer, sse
from tests.web.visit import visit

PICTURES = Path("test-results/pictures")
WIDTHS = {390: 844, 1280: 860}
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
LOOKS: list[tuple[int, Theme, str]] = [(width, theme, "en") for width in WIDTHS for theme in THEMES] + [
    (min(WIDTHS), "light", "de")
]
"""Width, theme and language."""
README_PICTURES = Path("docs/pictures")
SIDE_BY_SIDE = """<body style="margin:0;height:100vh;background:#e6e9e4">
<style>img {{ position: absolute; border-radius: 14px; box-shadow: 0 2px 6px #0003, 0 12px 32px #0003 }}</style>
<img style="left:60px;top:60px;width:1100px" src="data:image/png;base64,{0}">
<img style="right:60px;top:110px;width:320px" src="data:image/png;base64,{1}">"""
QUESTION = "How can one answer reach many screens?"
START = sse("start", {"stream": "s", "epoch": 1, "chunk": {"model": "m"}}, "1-1")
ANSWER = """A worker runs the completion and publishes every chunk. Any number of viewers
follow it, *whenever they come*:

1. The worker **claims** the job and asks the provider.
2. Each chunk is appended to a log, with a position.
3. Gateways relay the log as server-sent events.

| what breaks | what a viewer sees |
|---|---|
| their network | a pause, then the rest |
| a gateway | the same |
| the worker | the answer begins again, and says so |

```python
async for event in watch(url, after=position):
    print(event.text, end="")  # resumes by itself
```

> Nothing lost, nothing twice, nothing out of order.
"""


def chunk(text: str, seq: int = 2, epoch: int = 1) -> str:
    return sse("chunk", {"choices": [{"index": 0, "delta": {"content": text}}]}, f"{epoch}-{seq}")


def done(status: str, position: str = "1-9", error: dict[str, Any] | None = None) -> str:
    timing = {"queued_ms": 4, "first_chunk_ms": 412, "total_ms": 6300}
    usage = {"prompt_tokens": 14, "completion_tokens": 187} if status == "completed" else None
    data = {"status": status, "finish_reason": "stop", "usage": usage, "error": error, "timing": timing}
    return sse("done", data, position)


async def waiting(page: Page, peer: Peer) -> None:
    peer.tell(sse("ping", {"state": "waiting"}) + "…")


async def streaming(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(ANSWER[:420]) + sse("viewers", {"viewers": 3}) + "…")


async def completed(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(ANSWER) + done("completed"))


async def reconnecting(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(ANSWER[:300]), 503)


async def restarted(page: Page, peer: Peer) -> None:
    again = sse("restart", {"epoch": 2, "reason": "worker_lost"}, "2-1")
    again += sse("start", {"stream": "s", "epoch": 2, "chunk": {}}, "2-2")
    peer.tell(START + chunk("Lost.") + again + chunk(ANSWER[:200], 3, 2) + "…")


async def cancelled(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(ANSWER[:300]) + done("cancelled"))


async def failed(page: Page, peer: Peer) -> None:
    message = "Rate limit reached for requests. Please try again in 20 s."
    error = {"code": "rate_limit_exceeded", "message": message, "http_status": 429}
    peer.tell(START + chunk(ANSWER[:150]) + done("failed", error=error))


async def expired(page: Page, peer: Peer) -> None:
    peer.tell(404)
    peer.status = (404, {"error": {"message": "No such stream.", "code": "stream_not_found"}})


async def ask(page: Page, peer: Peer) -> None:
    if not page.url.startswith(peer.url):
        await visit(page, peer.url)
    await page.fill("#question", QUESTION)
    await page.keyboard.press("Enter")


async def outside(page: Page, peer: Peer) -> None:
    """Nothing is asked: nobody is let in."""
    peer.admission = SIGNED_OUT
    await visit(page, peer.url)


async def shut_out(page: Page, peer: Peer) -> None:
    """Signed out, with a question on the way."""
    await visit(page, peer.url)
    peer.admission = SIGNED_OUT
    await ask(page, peer)


async def known(page: Page, peer: Peer) -> None:
    peer.admission = SIGNED_IN
    await visit(page, peer.url)
    await page.click("#open-settings")


async def wrong_secret(page: Page, peer: Peer) -> None:
    await outside(page, peer)
    await page.fill("#secret", "wrong")
    await page.click("#sign-in button")


async def private_link(page: Page, peer: Peer) -> None:
    peer.admission = NEARBY
    peer.tickets.signature = "x" * 230  # as long as a real one
    await streaming(page, peer)
    await visit(page, peer.url)
    await page.click("#open-settings")
    await page.select_option("#visibility", "private")
    await page.click("#settings header button")
    await ask(page, peer)
    await page.click(".share-button")


async def revoked_link(page: Page, peer: Peer) -> None:
    await private_link(page, peer)
    await page.click("dialog.share .revoke button")


async def sent_away(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(ANSWER[:300]), 403)
    peer.tickets.revoked = 1
    await visit(page, f"{peer.url}/watch#p_1.{peer.tickets.ticket('view', 'p_1')}")
    await page.wait_for_selector(".text p")
    peer.tickets.revoked = 2


async def local_link(page: Page, peer: Peer) -> None:
    await completed(page, peer)
    await ask(page, peer)
    await page.click(".share-button")


async def elsewhere(page: Page, peer: Peer) -> None:
    await visit(page, f"{peer.url}/#0123456789abcdef.s1")


async def diagram(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(FAN_OUT.text) + done("completed"))
    await visit(page, f"{peer.url}/watch#s1")
    await page.click(".code-head .text-button")


async def folded(page: Page, peer: Peer) -> None:
    peer.tell(
        START + chunk("```python\n" + "".join(f"print({n})\n" for n in range(60)) + "```\nThe end.\n") + done("1-3")
    )
    await visit(page, f"{peer.url}/watch#s1")
    await page.locator("main").evaluate("main => main.scrollTo(0, 1e6)")


async def refused(page: Page, peer: Peer) -> None:
    await visit(page, f"{peer.url}/watch#p_1.expired")


async def stop_refused(page: Page, peer: Peer) -> None:
    await streaming(page, peer)
    await ask(page, peer)
    peer.tickets.revoked += 1
    await page.click("#stop")


async def crowded(page: Page, peer: Peer) -> None:
    peer.tell(sse("ping", {"state": "full"}) + "…")
    await visit(page, f"{peer.url}/watch#s1")


async def home(page: Page, peer: Peer) -> None:
    peer.admission = NEARBY
    await visit(page, peer.url)


async def tools(page: Page, peer: Peer) -> None:
    """Thoughts, a call with its result, and two answers, one of which was cut off."""
    call = {"index": 0, "type": "search", "arguments": '{"q":"weather in Vienna"}', "output": '{"celsius":21}'}
    first = {"index": 0, "delta": {"reasoning": "I should look.", "content": "Let me look.", "executed_tools": [call]}}
    second = {"index": 1, "delta": {"content": "It is warm, and the"}, "finish_reason": "length"}
    peer.tell(START + sse("chunk", {"choices": [first, second]}, "1-2") + done("completed"))
    await visit(page, f"{peer.url}/watch#s1")


async def missing(page: Page, peer: Peer) -> None:
    await page.goto(f"{peer.url}/nothing/here")


async def editing(page: Page, peer: Peer) -> None:
    await completed(page, peer)
    await ask(page, peer)
    await page.wait_for_selector(ASKED[completed])
    await page.hover(".question")
    await page.click(".question button")


async def drawer(page: Page, peer: Peer) -> None:
    """The list of conversations, which a wide screen always shows."""
    await completed(page, peer)
    await ask(page, peer)
    await page.wait_for_selector(ASKED[completed])
    if await page.is_visible("[data-icon=menu]"):
        await page.click("[data-icon=menu]")


Step = Callable[[Page, Peer], Awaitable[None]]
ASKED: dict[Step, str] = {
    waiting: '[data-state="waiting"]',
    streaming: '[data-state="streaming"]',
    completed: '[data-status="completed"][aria-busy="false"]',
    reconnecting: '[data-state="reconnecting"]',
    restarted: ".note:not([hidden])",
    cancelled: '[data-status="cancelled"]',
    failed: ".fault",
    expired: '[data-status="gone"]',
}
"""What the peer is told before something is asked, and how the state is known that follows."""
VISITED: dict[Step, str] = {
    outside: "#secret",
    wrong_secret: "#secret-error:not([hidden])",
    shut_out: "#sign-in-form:not([hidden])",
    known: "#account:not([hidden])",
    private_link: "dialog.share svg[role=img]",
    revoked_link: "dialog.share .open button",
    local_link: "dialog.share .note",
    elsewhere: "#elsewhere",
    diagram: ".diagram:has([role=status]:empty)",
    folded: ".code .fold",
    refused: '[data-status="refused"]',
    sent_away: '[data-status="refused"]',
    stop_refused: ".state.objection",
    crowded: '[data-state="full"]',
    home: "#suggestions",
    tools: ".tool .result",
    missing: ".missing",
    editing: ".editing",
    drawer: "#conversation-list a",
}
"""States that one comes to in another way."""


@asynccontextmanager
async def fresh_page(browser: Browser, width: int, theme: Theme, language: str = "en") -> AsyncIterator[Page]:
    size: Any = {"width": width, "height": WIDTHS[width]}
    context = await browser.new_context(
        viewport=size, color_scheme=theme, device_scale_factor=2, has_touch=width < 500, locale=language
    )
    yield await context.new_page()
    await context.close()


async def take(browser: Browser, width: int, theme: Theme, language: str, names: Sequence[str]) -> None:
    for prepare, sign in {**ASKED, **VISITED}.items():
        if names and prepare.__name__ not in names:
            continue
        async with serving(Peer()) as peer, fresh_page(browser, width, theme, language) as page:
            await prepare(page, peer)
            if prepare in ASKED:
                await ask(page, peer)
            await page.wait_for_selector(sign)
            await page.evaluate("document.fonts.ready")
            await asyncio.sleep(0.9)  # the state of a broken line fades in late, so that a short break stays unseen
            await page.screenshot(path=PICTURES / f"{prepare.__name__}-{width}-{theme}-{language}.png")


async def pair(browser: Browser) -> None:
    """Two viewers of one answer, side by side: the picture of the README."""
    shots = []
    async with serving(Peer()) as peer:
        await streaming_to_all(peer)
        for width, theme, path in ((1280, THEMES[0], "/"), (390, THEMES[1], "/watch#s1")):
            async with fresh_page(browser, width, theme) as page:
                if path == "/":
                    await ask(page, peer)
                else:
                    await visit(page, peer.url + path)
                await page.wait_for_selector(ASKED[streaming])
                await asyncio.sleep(0.5)  # the colours of code come a moment after the code
                shots.append(b64encode(await page.screenshot()).decode())
    page = await browser.new_page(viewport={"width": 1500, "height": 860})
    await page.set_content(SIDE_BY_SIDE.format(*shots))
    await page.screenshot(path=README_PICTURES / "two-viewers.png")
    await page.close()


async def answer(browser: Browser) -> None:
    """A complete answer: the other picture of the README."""
    async with serving(Peer()) as peer, fresh_page(browser, max(WIDTHS), "dark") as page:
        peer.models[0]["id"] = "demo"
        peer.tell(START.replace('"m"', '"demo"') + chunk(ANSWER) + done("completed"))
        await ask(page, peer)
        await page.wait_for_selector(ASKED[completed])
        await asyncio.sleep(0.5)  # as above
        await page.screenshot(path=README_PICTURES / "answer.png")


async def streaming_to_all(peer: Peer) -> None:
    peer.models[0]["id"] = "demo"
    peer.tell(START + chunk(ANSWER[:620]) + sse("viewers", {"viewers": 2}) + "…")


async def main(names: Sequence[str]) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for width, theme, language in LOOKS:
            await take(browser, width, theme, language, names)
        if not names:
            await pair(browser)
            await answer(browser)
        await browser.close()
    print(f"the pictures are in {PICTURES}")


if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(sys.argv[1:]))
