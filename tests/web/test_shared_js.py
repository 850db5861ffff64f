"""Many tabs of one browser: few lines, and every tab is told everything."""

import asyncio

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.web.peer import Peer, sse

pytestmark = pytest.mark.asyncio(loop_scope="session")

START = sse("start", {"stream": "s", "epoch": 1, "chunk": {"id": "c"}}, "1-1")
WATCH = """async ([id, ownLines, after]) => {
  const { watchShared } = await import("/shared.js");
  globalThis.told = "";
  globalThis.viewer = watchShared(`/v1/streams/${id}/events`, {
    chunk: (chunk) => (told += chunk.choices[0].delta.content),
    restart: () => (told += "|"),
    done: () => (told += "."),
    viewers: (count) => (document.title = `${count}`),
    state: (state) => (document.body.dataset.state = state),
  }, { ownLines, after });
}"""


def chunk(text: str, position: str) -> str:
    return sse("chunk", {"choices": [{"index": 0, "delta": {"content": text}}]}, position)


def done(position: str) -> str:
    data = {"status": "completed", "finish_reason": "stop", "usage": None, "error": None, "timing": None}
    return sse("done", data, position)


async def tab(
    context: BrowserContext, peer: Peer, own_lines: int = 0, after: str | None = None, stream: str = "s"
) -> Page:
    page = await context.new_page()
    await page.goto(f"{peer.url}/manycast.d.ts")  # any page of this origin
    await page.evaluate(WATCH, [stream, own_lines, after])
    return page


async def told(page: Page, text: str) -> None:
    await page.wait_for_function("text => told === text", arg=text)


async def test_tabs_share_one_line_and_a_late_one_misses_nothing(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk("a", "1-2") + sse("viewers", {"viewers": 7}) + "…")
    first, second = [await tab(page.context, peer) for _ in range(2)]
    await told(first, "a")
    await told(second, "a")
    await peer.say(chunk("b", "1-3"))
    await told(first, "ab")
    late = await tab(page.context, peer)
    resumed = await tab(page.context, peer, after="1-2")
    await told(late, "ab")
    await told(resumed, "b")
    await expect(late).to_have_title("7")
    await peer.say(sse("restart", {"epoch": 2, "reason": "worker_lost"}, "2-1") + chunk("c", "2-2") + done("2-3"))
    for each in (first, second, late):
        await told(each, "ab|c.")
        assert await each.evaluate("viewer.finished.then((done) => [done.status, viewer.state])") == [
            "completed",
            "ended",
        ]
    assert peer.asked == [None]


async def test_a_tab_that_is_closed_leaves_the_others_their_line(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk("a", "1-2") + "…")
    first, second = [await tab(page.context, peer) for _ in range(2)]
    await told(first, "a")
    await told(second, "a")
    await first.close()
    await peer.say(chunk("b", "1-3"))
    await told(second, "ab")
    assert peer.asked == [None]
    await second.evaluate("viewer.close()")  # the tab stays, and with it the worker
    async with asyncio.timeout(60):
        while peer.lines:
            await asyncio.sleep(0.01)


async def test_the_first_tabs_have_lines_of_their_own(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk("a", "1-2") + "…")
    tabs = [await tab(page.context, peer, own_lines=2) for _ in range(5)]
    for each in tabs:
        await told(each, "a")
    assert len(peer.asked) == 3
    await tabs[0].evaluate("viewer.close()")
    another = await tab(page.context, peer, own_lines=2)
    await told(another, "a")
    assert len(peer.asked) == 4


async def test_without_its_worker_a_tab_has_its_own_line(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk("a", "1-2") + done("1-3"))
    await page.context.route("**/shared-connection.js", lambda route: route.fulfill(status=404))
    await told(await tab(page.context, peer), "a.")


async def test_an_older_gateway_is_asked_for_each_stream_alone(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk("a", "1-2") + "…")
    tabs = [await tab(page.context, peer, stream=f"s_{number:022}") for number in range(3)]
    for each in tabs:
        await told(each, "a")
    assert peer.lines == 3
    await peer.say(chunk("b", "1-3") + done("1-4"))
    for each in tabs:
        await told(each, "ab.")
