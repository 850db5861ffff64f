"""The chat page and the watch page in a real browser, each state brought about by a peer that says what it is told."""

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from playwright.async_api import Browser, Dialog, Page, expect

from tests.viewers import until
from tests.web.conftest import other_origin
from tests.web.hostile_markdown import HOSTILE, check_harmless
from tests.web.peer import NEARBY, SIGNED_IN, SIGNED_OUT, Peer, sse
from tests.web.tickets import refuse
from tests.web.visit import reload, serious_violations, visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("packages")]

START = sse("start", {"stream": "s", "epoch": 1, "chunk": {"id": "c", "model": "m"}}, "1-1")
HEAVIEST = 250_000  # bytes, without formulas and what else is loaded on demand


def chunk(seq: int, epoch: int = 1, **delta: Any) -> str:
    choices = [{"index": 0, "delta": delta, "finish_reason": None}]
    return sse("chunk", {"choices": choices}, f"{epoch}-{seq}")


def done(position: str, status: str = "completed", error: dict[str, Any] | None = None) -> str:
    timing = {"queued_ms": 3, "first_chunk_ms": 812, "total_ms": 4000}
    data = {"status": status, "finish_reason": "stop", "usage": None, "error": error, "timing": timing}
    return sse("done", data, position)


async def ask(page: Page, peer: Peer, text: str = "A question") -> None:
    if not page.url.startswith(peer.url):
        await visit(page, peer.url)
    await page.fill("#question", text)
    await page.keyboard.press("Enter")


async def test_an_answer_grows_as_markdown_and_ends_with_its_cost(page: Page, peer: Peer) -> None:
    peer.tell(sse("ping", {"state": "waiting"}) + "…")
    await ask(page, peer)
    await expect(page.locator(".state")).to_contain_text("Waiting for the first words")
    await peer.say(START + chunk(2, content="One **bo") + chunk(3, content="ld** word"))
    await expect(page.locator(".text strong")).to_have_text("bold")
    await expect(page.locator("#stop")).to_be_visible()
    await peer.say(done("1-4"))
    await expect(page.locator(".cost")).to_have_text("first words after 0.8 s · 4.0 s in all")
    await expect(page.locator("#send")).to_be_visible()


async def test_markdown_that_means_harm_stays_harmless(page: Page, peer: Peer) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    peer.tell(START + "".join(chunk(2 + i, content=c) for i, c in enumerate(HOSTILE)) + done("1-9999"))
    await ask(page, peer)
    await expect(page.locator(".cost")).to_be_visible()
    await check_harmless(page)
    assert [url for url in asked if urlparse(url).netloc not in peer.url] == []


@pytest.mark.parametrize("renderer", ["markdown", "plain"])
async def test_half_a_character_waits_for_its_other_half(page: Page, peer: Peer, renderer: str) -> None:
    if renderer == "plain":
        await page.route("**/vendor/**", lambda route: route.fulfill(status=404))
    peer.tell(START + chunk(2, content="What is \ud83d") + "…")
    await ask(page, peer)
    await expect(page.locator(".text")).to_contain_text("What is")
    assert await page.locator(".text").evaluate("text => text.textContent.isWellFormed()")
    await peer.say(chunk(3, content="\ude80 up") + done("1-4"))
    await expect(page.locator(".text")).to_have_text("What is 🚀 up")


async def test_the_buttons_of_long_code_stay_in_sight_and_wrap_its_lines(page: Page, peer: Peer) -> None:
    code = "x" * 500 + "\n" + "line\n" * 200
    peer.tell(START + chunk(2, content=f"```python\n{code}```\n") + done("1-3"))
    await visit(page, f"{peer.url}/watch#s")
    await page.wait_for_selector('.reply[data-state="ended"][aria-busy="false"]')
    await expect(page.locator(".code .language")).to_have_text("python")
    folded = await page.locator(".code").evaluate("code => code.clientHeight")
    await page.get_by_role("button", name="Show all lines").click()
    assert await page.locator(".code").evaluate("code => code.clientHeight") > 3 * folded
    await page.locator("main").evaluate("main => main.scrollTo(0, 1500)")
    wrap = page.get_by_role("button", name="Wrap lines")
    await expect(wrap).to_be_in_viewport()
    await expect(page.get_by_role("button", name="Copy code")).to_be_in_viewport()
    is_wide = "pre => pre.scrollWidth > pre.clientWidth"
    assert await page.locator(".code pre").evaluate(is_wide)
    await wrap.click()
    await expect(wrap).to_have_attribute("aria-pressed", "true")
    assert not await page.locator(".code pre").evaluate(is_wide)
    await page.get_by_role("button", name="Show fewer lines").click()
    assert await page.locator(".code").evaluate("code => code.clientHeight") <= 2 * folded


@pytest.mark.parametrize("lines", [40, 41])
async def test_code_is_folded_from_a_number_of_lines_on_also_while_it_grows(page: Page, peer: Peer, lines: int) -> None:
    peer.tell(START + chunk(2, content="```\n" + "line\n" * (lines - 1)) + "…")
    await visit(page, f"{peer.url}/watch#s")
    await expect(page.locator(".code pre")).to_contain_text("line")
    await peer.say(chunk(3, content="last") + chunk(4, content=" one"))
    await expect(page.locator(".code pre")).to_contain_text("last one")
    await expect(page.locator(".code .fold")).to_have_count(int(lines > 40))


DIAGRAM = "```mermaid\nflowchart LR\n  model[A model] --> screens[Many screens]\n```\n"


async def test_a_diagram_is_drawn_on_request_above_its_text_in_a_frame_without_an_origin(
    page: Page, peer: Peer
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlparse(request.url).path))
    peer.tell(START + chunk(2, content=DIAGRAM) + done("1-3"))
    await ask(page, peer)
    await expect(page.locator(".cost")).to_be_visible()
    assert "/vendor/mermaid.js" not in asked
    button = page.get_by_role("button", name="Diagram")
    await button.click()
    drawing = page.frame_locator(".diagram iframe").locator("svg")
    await expect(drawing).to_contain_text("Many screens")
    assert await page.locator(".diagram iframe").evaluate("frame => frame.clientHeight") > 40
    frame = page.frames[-1]
    assert await frame.evaluate("origin") == "null"
    blocked = "fetch('/v1/models').then(() => 'sent', () => 'refused')"
    assert await frame.evaluate(blocked) == "refused"
    await expect(page.locator(".code pre")).to_contain_text("flowchart LR")
    await button.click()
    await expect(page.locator(".diagram")).to_have_count(0)


async def test_what_is_no_diagram_says_so(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="```mermaid\nno diagram <img src=x onerror=alert(1)>\n```\n") + done("1-3"))
    await ask(page, peer)
    await page.get_by_role("button", name="Diagram").click()
    await expect(page.locator(".diagram")).to_contain_text("This diagram cannot be drawn")
    await expect(page.locator(".diagram iframe")).to_have_count(0)


async def test_a_picture_is_loaded_when_its_reader_asks_and_its_host_is_allowed(page: Page, peer: Peer) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    near, far = f"{other_origin(peer)}/icon.svg", "https://elsewhere.test/icon.svg"
    peer.tell(START + chunk(2, content=f"![near]({near})\n\n![far]({far})\n\n![gone]({near}x)\n") + done("1-3"))
    await ask(page, peer)
    shown = page.locator(".image").filter(has_text="near")
    await expect(shown.get_by_role("link")).to_have_attribute("href", near)
    await expect(shown.get_by_role("button", name="Show")).to_be_visible()
    assert near not in asked
    await shown.get_by_role("button", name="Show").click()
    await expect(shown.locator("img")).to_have_js_property("complete", True)
    assert await shown.locator("img").evaluate("image => image.naturalWidth") > 0
    await expect(page.locator(".image").filter(has_text="far").get_by_role("button")).to_have_count(0)
    missing = page.locator(".image").filter(has_text="gone")
    await missing.get_by_role("button", name="Show").click()
    await expect(missing).to_contain_text("It could not be loaded.")
    assert far not in asked


async def test_a_printed_answer_has_neither_buttons_nor_folds(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="```\n" + "line\n" * 60 + "```\n[a](https://x.test/)\n") + done("1-3"))
    await visit(page, f"{peer.url}/watch#s")
    await page.wait_for_selector('.reply[data-state="ended"][aria-busy="false"]')
    await page.emulate_media(media="print")
    for hidden in (".bar", ".code .fold", "[aria-label='Copy answer']", "[aria-label='Copy code']"):
        await expect(page.locator(hidden)).to_be_hidden()
    pre = page.locator(".code pre")
    assert await pre.evaluate("pre => pre.scrollHeight <= pre.clientHeight + 1 && pre.clientHeight > 1000")
    assert await page.locator("main").evaluate("main => getComputedStyle(main).overflow") == "visible"


async def test_a_formula_loads_what_draws_it_and_nothing_else_does(page: Page, peer: Peer) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(urlparse(request.url).path))
    page.on("console", lambda entry: complaints.append(entry.text))
    peer.tell(START + chunk(2, content="$5, no formula yet\n\n") + "…")
    await ask(page, peer)
    await expect(page.locator(".text p")).to_have_count(1)
    assert "/vendor/temml.js" not in asked
    await peer.say(
        chunk(3, content=r"$$\frac{\vec{a}}{\sqrt{b}} \begin{cases} 1 \\ 2 \end{cases}$$" + "\n") + done("1-4")
    )
    await expect(page.locator(".text math mfrac")).to_be_visible()
    assert "/vendor/temml.js" in asked
    assert [text for text in complaints if "Security Policy" in text] == []


async def test_a_restart_says_why_the_text_began_again(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="first try\n") + "…")
    await ask(page, peer)
    await expect(page.locator(".text")).to_have_text("first try")
    await peer.say(sse("restart", {"epoch": 2, "reason": "worker_lost"}, "2-1"))
    await expect(page.locator(".note")).to_contain_text("the worker was lost")
    second = sse("start", {"stream": "s", "epoch": 2, "chunk": {}}, "2-2")
    await peer.say(second + chunk(3, epoch=2, content="second\n"))
    await expect(page.locator(".text")).to_have_text("second")


async def test_a_failure_shows_the_providers_words_folded_and_may_be_tried_again(page: Page, peer: Peer) -> None:
    error = {"code": "rate_limit_exceeded", "message": "Slow down.", "http_status": 429}
    peer.tell(
        START + chunk(2, content="half") + done("1-3", "failed", error), START + chunk(2, content="whole") + done("1-3")
    )
    await ask(page, peer)
    await expect(page.locator(".fault strong")).to_have_text("Rate limit reached.")
    await expect(page.get_by_text("Slow down.")).to_be_hidden()
    await page.click("text=Details")
    await expect(page.get_by_text("Slow down. (429, rate_limit_exceeded)")).to_be_visible()
    await expect(page.locator(".text")).to_have_text("half")
    await page.click("text=Try again")
    await expect(page.locator(".text")).to_have_text("whole")
    assert peer.bodies[0]["messages"] == peer.bodies[1]["messages"]


async def test_a_viewer_sees_a_sentence_and_the_code_of_a_failure(page: Page, peer: Peer) -> None:
    error = {"code": "invalid_api_key", "message": "The provider refused.", "http_status": 401, "redacted": True}
    peer.tell(START + done("1-2", "failed", error))
    await visit(page, f"{peer.url}/watch#s")
    await expect(page.locator(".fault")).to_have_text("The provider refused the request.(401, invalid_api_key)")
    await expect(page.locator(".fault details")).to_have_count(0)


@pytest.mark.parametrize(("code", "words"), [("answer_too_large", "grew too large"), ("run_too_long", "took too long")])
async def test_an_answer_that_met_a_limit_says_which(page: Page, peer: Peer, code: str, words: str) -> None:
    error = {"code": code, "message": "In the worker's words.", "http_status": None}
    peer.tell(START + chunk(2, content="half") + done("1-3", "failed", error))
    await ask(page, peer)
    await expect(page.locator(".fault strong")).to_contain_text(words)
    await expect(page.locator(".text")).to_have_text("half")


async def test_a_question_that_is_refused_says_why(page: Page, peer: Peer) -> None:
    peer.refusal = refuse(503, "queue_full", "The queue is full.")
    await ask(page, peer)
    await expect(page.locator(".fault")).to_contain_text("The queue is full.")
    await expect(page.locator("#send")).to_be_visible()


async def test_reasoning_is_folded_and_tool_calls_show_as_they_form(page: Page, peer: Peer) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"word":'}}
    rest = {"index": 0, "function": {"arguments": '"x"}'}}
    peer.tell(START + chunk(2, reasoning_content="Let me see.") + "…")
    await ask(page, peer)
    await expect(page.locator(".reasoning summary")).to_have_text("Thinking…")
    await expect(page.locator(".reasoning .plain")).to_be_hidden()
    await peer.say(chunk(3, tool_calls=[call]))
    await expect(page.locator(".tool pre")).to_have_text('{"word":')
    await peer.say(chunk(4, tool_calls=[rest]) + done("1-5"))
    await expect(page.locator(".tool pre")).to_have_text('{\n  "word": "x"\n}')
    await expect(page.locator(".reasoning summary")).to_have_text("Thoughts")


async def test_tool_calls_stand_where_they_happened_with_their_results(page: Page, peer: Peer) -> None:
    first = {"index": 0, "type": "search", "arguments": '{"q":"a"}', "output": '{"found":2}'}
    second = {"index": 1, "type": "search", "arguments": '{"q":"b"}'}
    texts = [chunk(2, content="One.\n"), chunk(3, executed_tools=[first]), chunk(4, content="Two.\n")]
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    begun = START + "".join(texts) + chunk(5, executed_tools=[second])
    rest = chunk(6, tool_calls=[call]) + chunk(7, content="Three.\n")
    peer.tell(begun + "…", begun + rest + done("1-8"))
    await ask(page, peer)
    await expect(page.locator(".tool")).to_have_count(2)
    await peer.say(rest)
    await expect(page.locator(".text >> nth=2")).to_have_text("Three.")
    await expect(page.locator("[data-caret]")).to_have_text("Three.")
    await expect(page.locator(".tool .result >> nth=0")).to_contain_text('"found": 2')
    parts = ["One.", "search", "Two.", "search", "look_up", "Three."]
    name = "part.querySelector('summary code')?.textContent ?? part.innerText"
    shown = f"choice => [...choice.children].map((part) => {name})"
    assert [part.strip() for part in await page.locator(".choice").evaluate(shown)] == parts
    await peer.say(done("1-8"))
    await expect(page.locator(".cost")).to_be_visible()
    await visit(page, f"{peer.url}/watch#s1")
    await expect(page.locator(".text >> nth=2")).to_have_text("Three.")
    assert [part.strip() for part in await page.locator(".choice").evaluate(shown)] == parts


@pytest.mark.parametrize(
    "text", ["```python\nx = 1", "> quote", "| a | b |\n|---|---|\n| 1 | 2", "## Head", "- a\n  - b"]
)
async def test_a_caret_shows_wherever_text_grows(page: Page, peer: Peer, text: str) -> None:
    peer.tell(START + chunk(2, content=f"Before\n\n{text}") + "…")
    await visit(page, f"{peer.url}/watch#s")
    caret = page.locator("[data-caret]")
    await expect(caret).to_have_count(1)
    await expect(caret).not_to_contain_text("Before")
    assert await caret.evaluate("place => getComputedStyle(place, '::after').content") == '""'
    await peer.say(done("1-3"))
    await expect(page.locator(".cost")).to_be_visible()
    assert await caret.evaluate("place => getComputedStyle(place, '::after').content") == "none"


async def test_a_model_that_sends_nothing_for_some_seconds_is_called_quiet(page: Page, peer: Peer) -> None:
    await page.clock.install()
    peer.tell(START + chunk(2, content="begun\n") + "…")
    await visit(page, f"{peer.url}/watch#s")
    await expect(page.locator(".text")).to_have_text("begun")
    await expect(page.locator(".state")).to_be_hidden()
    await page.clock.run_for(8500)
    await expect(page.locator(".state")).to_have_text(re.compile("The model has been quiet for [89] s."))
    await peer.say(chunk(3, content="more\n"))
    await expect(page.locator(".text")).to_contain_text("more")
    await page.clock.run_for(1000)
    await expect(page.locator(".state")).to_be_hidden()
    await peer.say(sse("ping", {"state": "worker_silent"}))
    await expect(page.locator(".state")).to_have_text("Reconnecting the answer…")


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"delta": {"content": "half"}, "finish_reason": "length"}, "The answer was cut off at the length limit."),
        ({"delta": {}, "finish_reason": "stop"}, "The model's answer is empty."),
        ({"delta": {"refusal": "No."}, "finish_reason": "stop"}, "The model declined to answer:"),
    ],
)
async def test_an_answer_that_is_not_what_was_hoped_for_says_what_it_is(
    page: Page, peer: Peer, choice: dict[str, Any], words: str
) -> None:
    peer.tell(START + sse("chunk", {"choices": [{"index": 0, **choice}]}, "1-2") + done("1-3"))
    await visit(page, f"{peer.url}/watch#s")
    await expect(page.locator(".choice")).to_contain_text(words)


async def test_several_answers_are_numbered(page: Page, peer: Peer) -> None:
    both = [{"index": index, "delta": {"content": f"{index}"}, "finish_reason": "stop"} for index in range(2)]
    peer.tell(START + sse("chunk", {"choices": both}, "1-2") + done("1-3"))
    await visit(page, f"{peer.url}/watch#s")
    await expect(page.get_by_role("region", name="Answer 1 of 2")).to_have_text("0")
    await expect(page.get_by_role("region", name="Answer 2 of 2")).to_have_text("1")


async def test_each_answer_names_its_model_and_a_failure_offers_one_retry_and_no_copy(page: Page, peer: Peer) -> None:
    error = {"code": "x", "message": "Broken.", "http_status": 500}
    peer.tell(START + chunk(2, role="assistant") + done("1-3", "failed", error))
    await ask(page, peer)
    await expect(page.locator(".fault button")).to_be_visible()
    await expect(page.locator(".model")).to_have_text("m")
    await expect(page.locator('[aria-label="Answer again"]')).to_be_hidden()
    await expect(page.locator('[aria-label="Copy answer"]')).to_be_hidden()


@pytest.mark.parametrize("path", ["/", "/watch#s1"])
async def test_a_finger_finds_every_button_on_a_phone(browser: Browser, peer: Peer, path: str) -> None:
    context = await browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = await context.new_page()
    peer.admission = SIGNED_IN
    peer.tell(START + chunk(2, content="```python\nx = 1\n```\n") + done("1-3"))
    if path == "/":
        await visit(page, peer.url)
        await ask(page, peer)
    else:
        await visit(page, f"{peer.url}{path}")
    await expect(page.locator(".cost")).to_be_visible()
    small = """() => [...document.querySelectorAll("button, select, summary, input")].flatMap((target) => {
      const { width, height } = target.getBoundingClientRect();
      const isShown = target.checkVisibility() && width > 1;
      const isSmall = Math.round(width) < 44 || Math.round(height) < 44;
      return isShown && isSmall ? [`${target.outerHTML.slice(0, 90)} ${width} ${height}`] : [];
    })"""
    assert await page.evaluate(small) == []
    if path == "/":
        await page.click("#open-settings")
        await expect(page.locator("#settings")).to_be_visible()
        await expect(page.locator(".keyboard")).to_be_hidden()
        assert await page.evaluate(small) == []
    await context.close()


async def test_escape_stops_and_shift_enter_breaks_the_line(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="some\n") + "…")
    await visit(page, peer.url)
    await page.locator("#question").blur()
    await page.keyboard.press("/")
    await page.keyboard.type("one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("two")
    await page.keyboard.press("Enter")
    await expect(page.locator(".bubble")).to_have_text("one\ntwo")
    await expect(page.locator(".text")).to_have_text("some")
    await page.keyboard.press("Escape")
    await expect(page.locator(".reply")).to_have_attribute("data-state", "stopping")
    await peer.say(done("1-3", "cancelled"))
    await expect(page.locator(".state")).to_have_text("Stopped.")
    assert peer.cancelled == ["s1"]


async def test_stop_is_heard_before_the_run_has_been_taken(page: Page, peer: Peer) -> None:
    peer.admitting.clear()
    peer.tell(START + chunk(2, content="x\n") + "…")
    await ask(page, peer)
    await expect(page.locator(".state")).to_have_text("Sending…")
    await page.keyboard.press("Escape")
    peer.admitting.set()
    await expect(page.locator(".text")).to_have_text("x")
    await expect(page.locator(".state")).to_have_text("Stopping…")
    await peer.say(done("1-3", "cancelled"))
    await expect(page.locator(".state")).to_have_text("Stopped.")
    assert peer.cancelled == ["s1"]


async def test_it_goes_on_saying_that_it_stops_while_words_still_come(page: Page, peer: Peer) -> None:
    peer.tell(sse("ping", {"state": "waiting"}) + "…")
    await ask(page, peer)
    await expect(page.locator(".state")).to_contain_text("Waiting for the first words")
    await page.click("#stop")
    await expect(page.locator(".state")).to_have_text("Stopping…")
    await peer.say(START + sse("ping", {"state": "streaming"}) + chunk(2, content="more\n"))
    await expect(page.locator(".text")).to_have_text("more")
    await expect(page.locator(".state")).to_have_text("Stopping…")
    await expect(page.locator(".state")).to_be_visible()
    await peer.say(done("1-3", "cancelled"))
    await expect(page.locator(".state")).to_have_text("Stopped.")


async def test_stop_works_after_a_reload(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="some\n") + "…")
    await ask(page, peer)
    await expect(page.locator(".text")).to_have_text("some")
    await reload(page)
    await expect(page.locator(".text")).to_have_text("some")
    await page.click("#stop")
    await expect(page.locator(".state")).to_have_text("Stopping…")
    await peer.say(done("1-3", "cancelled"))
    await expect(page.locator(".state")).to_have_text("Stopped.")
    assert peer.cancelled == ["s1"]


async def test_where_stop_is_refused_it_says_so_and_the_answer_goes_on(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="some\n") + "…")
    await ask(page, peer)
    await expect(page.locator(".text")).to_have_text("some")
    peer.tickets.revoked += 1
    await page.click("#stop")
    await expect(page.locator(".state")).to_have_text("You can't stop this answer. It continues.")
    await expect(page.locator(".state")).to_be_visible()
    await peer.say(chunk(3, content="\nmore\n"))
    await expect(page.locator(".text")).to_have_text("somemore")
    await expect(page.locator(".state")).to_be_visible()
    await peer.say(done("1-4"))
    await expect(page.locator(".cost")).to_be_visible()
    await expect(page.locator(".state")).to_be_hidden()
    assert peer.cancelled == []


async def test_viewers_are_offered_no_stop(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="some\n") + "…")
    await visit(page, f"{peer.url}/watch#s1")
    await expect(page.locator(".text")).to_have_text("some")
    await expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    await page.keyboard.press("Escape")
    await peer.say(chunk(3, content="\nmore\n") + done("1-4"))
    await expect(page.locator(".text")).to_have_text("somemore")
    assert peer.cancelled == []


async def test_a_conversation_is_kept_and_goes_along_as_context(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="An answer") + done("1-3"))
    await ask(page, peer, "First")
    await expect(page.locator(".cost")).to_be_visible()
    await reload(page)
    await expect(page.locator(".text")).to_have_text("An answer")
    assert len(peer.asked) == 1  # kept here, not asked again
    await ask(page, peer, "Second")
    await expect(page.locator(".cost")).to_have_count(2)
    assert peer.bodies[1]["messages"] == [
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "An answer"},
        {"role": "user", "content": "Second"},
    ]


async def test_a_reload_in_the_middle_shows_the_whole_answer(page: Page, peer: Peer) -> None:
    peer.tell(
        START + chunk(2, content="begun\n") + "…",
        START + chunk(2, content="begun\n") + chunk(3, content="\nmore\n") + "…",
    )
    await ask(page, peer)
    await expect(page.locator(".text")).to_have_text("begun")
    await reload(page)
    await expect(page.locator(".text")).to_have_text("begunmore")
    await expect(page.locator("#stop")).to_be_visible()


async def test_the_last_question_may_be_asked_in_other_words(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="An answer") + done("1-3"))
    await ask(page, peer, "Frist")
    await expect(page.locator(".cost")).to_be_visible()
    await page.keyboard.press("ArrowUp")
    await page.fill(".editing textarea", "First")
    await page.keyboard.press("Enter")
    await expect(page.locator(".bubble")).to_have_text("First")
    await expect(page.locator(".reply")).to_have_count(1)
    assert peer.bodies[1]["messages"] == [{"role": "user", "content": "First"}]


async def test_another_answer_takes_the_place_of_the_last(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="one") + done("1-3"), START + chunk(2, content="two") + done("1-3"))
    await ask(page, peer)
    await expect(page.locator(".text")).to_have_text("one")
    await page.click('[aria-label="Answer again"]')
    await expect(page.locator(".text")).to_have_text("two")
    assert peer.bodies[1]["messages"] == peer.bodies[0]["messages"]


async def test_system_prompt_temperature_and_model_go_along(page: Page, peer: Peer) -> None:
    peer.models = [{"id": name, "object": "model", "created": 0, "owned_by": "x"} for name in ("a", "b")]
    peer.tell(START + done("1-2"))
    await visit(page, peer.url)
    await page.select_option("#model", "b")
    await page.click("#open-settings")
    await page.fill("#system", "Be brief.")
    await page.locator("#temperature").fill("0.3")
    await page.keyboard.press("Escape")
    await ask(page, peer, "Hi")
    await expect(page.locator(".cost")).to_be_visible()
    assert peer.bodies[0]["model"] == "b"
    assert peer.bodies[0]["temperature"] == 0.3
    assert peer.bodies[0]["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_scrolling_up_stops_following_and_shows_the_button(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="line\n\n" * 80) + "…")
    await ask(page, peer)
    at_end = (
        "() => { const m = document.querySelector('main'); return m.scrollHeight - m.scrollTop - m.clientHeight < 5; }"
    )
    await expect(page.locator(".text p")).to_have_count(80)
    await page.wait_for_function(at_end)
    await page.hover("main")
    await page.mouse.wheel(0, -600)
    await page.wait_for_function(f"() => !({at_end})()")
    await peer.say(chunk(3, content="line\n\n" * 20))
    await expect(page.locator("#below")).to_be_visible()
    assert not await page.evaluate(at_end)
    await page.click("#below")
    await page.wait_for_function(at_end)
    await peer.say(chunk(4, content="line\n\n" * 20))
    await expect(page.locator(".text p")).to_have_count(120)
    await page.wait_for_function(at_end)


async def test_the_page_says_that_it_is_offline_and_reconnects(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="begun\n") + "…", chunk(3, content="\nand ended") + done("1-4"))
    await ask(page, peer)
    await expect(page.locator(".text")).to_have_text("begun")
    await page.context.set_offline(True)
    await expect(page.locator(".state")).to_contain_text("You are offline")
    await page.context.set_offline(False)
    await expect(page.locator(".text")).to_have_text("begunand ended")
    assert peer.asked == [None, "1-2"]


async def test_a_crowd_that_is_too_large_is_told_until_there_is_room(page: Page, peer: Peer) -> None:
    full = sse("ping", {"state": "full"})
    peer.tell(full, full + "…", START + chunk(2, content="An answer") + done("1-3"))
    await visit(page, f"{peer.url}/watch#s1")
    async with asyncio.timeout(60):
        while len(peer.asked) < 2 or not peer.lines:
            await asyncio.sleep(0.01)
    await expect(page.locator(".state")).to_have_text("Too many viewers right now. Retrying…")
    peer.hang_up()
    await expect(page.locator(".text")).to_have_text("An answer")


async def test_it_says_that_a_simulator_answers_and_that_nobody_works(page: Page, peer: Peer) -> None:
    peer.models[0]["owned_by"] = "manycast-simulator"
    peer.readiness["workers"] = 0
    peer.tell(sse("ping", {"state": "queued"}) + "…")
    await visit(page, peer.url)
    await expect(page.locator("#hint")).to_contain_text("A simulator answers here")
    await expect(page.locator("#trouble")).to_contain_text("No worker is running")
    await ask(page, peer)
    await expect(page.locator(".state")).to_contain_text("No worker is running")


async def test_without_its_packages_the_page_says_so_and_shows_plain_text(page: Page, peer: Peer) -> None:
    await page.route("**/vendor/**", lambda route: route.fulfill(status=404))
    peer.tell(START + chunk(2, content="**bold**\n<b>") + done("1-3"))
    await ask(page, peer)
    await expect(page.locator(".text")).to_have_text("**bold**\n<b>")
    await expect(page.locator("#hint")).to_contain_text("answers are plain text")


async def test_the_watch_page_shows_a_late_viewer_everything_and_replays_it(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="all ") + chunk(3, content="of it\n") + sse("viewers", {"viewers": 3}) + "…")
    await visit(page, f"{peer.url}/watch#s")
    await expect(page.locator(".text")).to_have_text("all of it")
    await expect(page.locator("#viewers")).to_have_text("3 watching")
    await expect(page.locator("#live")).to_be_visible()
    await peer.say(done("1-4"))
    await expect(page.locator("#live")).to_be_hidden()
    await page.click("text=Replay")
    await expect(page.locator(".text")).to_have_text("all ")
    await page.click("text=Show all")
    await expect(page.locator(".text")).to_have_text("all of it")


async def test_a_finished_answer_is_read_from_its_beginning(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="line\n\n" * 80) + done("1-3"))
    await visit(page, f"{peer.url}/watch#s")
    await page.wait_for_selector('.reply[data-state="ended"][aria-busy="false"]')
    await expect(page.locator(".text p")).to_have_count(80)
    assert await page.locator("main").evaluate("main => main.scrollTop") == 0
    await expect(page.locator("#below")).to_be_hidden()


async def test_a_conversation_is_deleted_when_that_is_confirmed(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="x") + done("1-3"))
    await ask(page, peer, "Forget me")
    await expect(page.locator(".cost")).to_be_visible()
    await page.hover("#conversation-list li")
    async with page.expect_event("dialog") as asking:
        await page.click('#conversation-list [aria-label^="Delete"]')
    await (await asking.value).dismiss()
    await expect(page.locator("#conversation-list li")).to_have_count(1)
    page.once("dialog", lambda dialog: dialog.accept())
    await page.click('#conversation-list [aria-label^="Delete"]')
    await expect(page.locator("#conversation-list li")).to_have_count(0)
    await expect(page.locator("#welcome")).to_be_visible()
    assert await page.evaluate("Object.keys(localStorage).filter((key) => key.includes('conversation:')).length") == 0
    async with asyncio.timeout(60):
        while peer.deleted != ["s1"]:
            await asyncio.sleep(0.01)


async def test_answers_that_the_server_did_not_delete_are_told(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="x") + done("1-3"))
    await ask(page, peer)
    await expect(page.locator(".cost")).to_be_visible()
    peer.tickets.revoked += 1
    await page.hover("#conversation-list li")
    told: list[str] = []

    async def accept(dialog: Dialog) -> None:
        told.append(dialog.message)
        await dialog.accept()

    page.on("dialog", accept)
    await page.click('#conversation-list [aria-label^="Delete"]')
    await expect(page.locator("#conversation-list li")).to_have_count(0)
    await until(lambda: any("did not delete 1 answer." in message for message in told))


async def test_the_watch_page_shows_the_question_the_model_and_the_date(page: Page, peer: Peer) -> None:
    said: dict[str, Any] = {"question": "Why is\nthe sky <b>blue</b>?", "model": "gpt-x", "created_at": 1_795_000_000}
    peer.status = (200, {"status": "running", "position": "0-0", **said})
    peer.tell(START + chunk(2, content="Because") + "…")
    await visit(page, f"{peer.url}/watch#s1")
    await expect(page.locator(".question .bubble")).to_have_text(said["question"], use_inner_text=True)
    await expect(page.locator(".question p")).to_contain_text(re.compile("gpt-x · .*2026"))
    await expect(page).to_have_title("Why is the sky <b>blue</b>? · Manycast")
    await page.click("text=Ask your own")
    await expect(page.locator("#composer")).to_be_visible()


async def test_a_deleted_answer_says_so(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="begun\n") + "…")
    await visit(page, f"{peer.url}/watch#s1")
    await expect(page.locator(".text")).to_have_text("begun")
    error = {"code": "stream_deleted", "message": "This answer was deleted.", "http_status": None}
    data = {"status": "failed", "finish_reason": None, "usage": None, "error": error, "timing": None}
    await peer.say(sse("done", data))
    await expect(page.locator(".fault strong")).to_have_text("This answer was deleted.")
    await expect(page.locator(".text")).to_be_hidden()


async def test_a_draft_survives_a_reload_and_a_title_is_the_readers(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="x") + done("1-3"))
    await ask(page, peer, "First")
    await expect(page.locator(".cost")).to_be_visible()
    await page.fill("#question", "Not sent yet")
    await page.hover("#conversation-list li")
    page.once("dialog", lambda dialog: dialog.accept("My own title"))
    await page.click('#conversation-list [aria-label^="Rename"]')
    await expect(page.locator("#conversation-list a")).to_have_text("My own title")
    await reload(page)
    await expect(page.locator("#question")).to_have_value("Not sent yet")
    await expect(page.locator("#conversation-list a")).to_have_text("My own title")
    await page.click("#new")
    await expect(page.locator("#question")).to_have_value("")


async def test_another_tab_gets_what_this_one_asks(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="An answer") + done("1-3"))
    await ask(page, peer, "First")
    await expect(page.locator(".cost")).to_be_visible()
    second = await page.context.new_page()
    await visit(second, page.url)
    await ask(page, peer, "Second")
    await expect(second.locator(".question")).to_have_count(2)
    await expect(second.locator(".cost")).to_have_count(2)
    await ask(second, peer, "Third")
    await expect(page.locator(".question")).to_have_count(3)
    asked = [message["content"] for message in peer.bodies[2]["messages"] if message["role"] == "user"]
    assert asked == ["First", "Second", "Third"]


async def test_a_full_store_is_told_and_drops_nothing(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk(2, content="An answer") + done("1-3"))
    await visit(page, peer.url)
    await page.evaluate(
        """() => {
          let text = "x".repeat(1 << 20);
          for (let number = 0; text; number += 1) {
            try { localStorage.setItem(`filler-${number}`, text); } catch { text = text.slice(text.length / 2 + 1); }
          }
        }"""
    )
    await ask(page, peer, "First")
    await expect(page.locator(".text")).to_have_text("An answer")
    await expect(page.locator("#full")).to_contain_text("storage is full")
    async with page.expect_download() as downloading:
        await page.click("#full button")
    exported = await asyncio.to_thread((await (await downloading.value).path()).read_text)
    assert "First" in exported
    assert "An answer" in exported
    is_filler = "(key) => key.startsWith('filler')"
    await page.evaluate(f"Object.keys(localStorage).filter({is_filler}).forEach((key) => localStorage.removeItem(key))")
    await page.click('[aria-label="Answer again"]')
    await expect(page.locator("#full")).to_be_hidden()


async def test_what_was_exported_is_imported(page: Page, peer: Peer, other: Page) -> None:
    peer.tell(START + chunk(2, content="An answer") + done("1-3"))
    await ask(page, peer, "First")
    await expect(page.locator(".cost")).to_be_visible()
    await page.click("#open-settings")
    async with page.expect_download() as downloading:
        await page.click("text=Export as JSON")
    file = await (await downloading.value).path()
    await visit(other, peer.url)
    await other.click("#open-settings")
    await other.set_input_files("#import-file", file)
    await expect(other.locator("#imported")).to_have_text("1 conversation imported.")
    await other.keyboard.press("Escape")
    await other.click("#conversation-list a")
    await expect(other.locator(".text")).to_have_text("An answer")


async def test_private_mode_and_a_system_prompt_are_visible_while_asking(page: Page, peer: Peer) -> None:
    await visit(page, peer.url)
    await expect(page.locator("#modes")).to_be_hidden()
    await page.evaluate(
        "localStorage.setItem('manycast:settings', JSON.stringify({ visibility: 'private', system: 'Be brief.' }))"
    )
    await reload(page)
    await expect(page.locator("#private-mode")).to_be_visible()
    await page.click("#system-mode")
    await expect(page.locator("#system")).to_have_value("Be brief.")
    await page.fill("#system", "")
    await expect(page.locator("#system-mode")).to_be_hidden()


async def test_the_watch_page_says_that_a_stream_is_gone(page: Page, peer: Peer) -> None:
    peer.tell(404)
    peer.status = (404, {"error": {"message": "No such stream.", "code": "not_found"}})
    await visit(page, f"{peer.url}/watch#s")
    await expect(page.locator(".state")).to_have_text("This answer does not exist, or it has expired.")


async def test_the_link_is_offered_with_its_picture(page: Page, peer: Peer) -> None:
    peer.admission = NEARBY
    peer.tell(START + chunk(2, content="x") + "…")
    await ask(page, peer)
    await page.click(".share-button")
    # The page is open at an address of this computer, which a phone cannot open.
    await expect(page.locator("dialog.share input")).to_have_value("http://192.168.1.20:8000/watch#s1")
    await expect(page.locator("dialog.share svg[role=img]")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog.share")).to_have_count(0)
    assert peer.cancelled == []  # Esc closed the dialog, and stopped nothing


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_link_that_only_this_computer_can_open_comes_with_a_warning(page: Page, peer: Peer, host: str) -> None:
    peer.admission = SIGNED_IN
    peer.tell(START + chunk(2, content="x") + "…")
    peer.url = peer.url.replace("127.0.0.1", host)
    await visit(page, f"{peer.url}/watch#s")
    await page.click("#share")
    await expect(page.locator("dialog.share .note")).to_contain_text("Only this computer can open this link.")
    await expect(page.locator("dialog.share .note code")).to_have_text(
        f"make run HOST=0.0.0.0 PORT={urlparse(peer.url).port}"
    )
    await expect(page.locator("dialog.share input")).to_have_value(f"{peer.url}/watch#s")
    await expect(page.locator("dialog.share svg[role=img]")).to_have_count(0)


async def test_a_conversation_of_another_browser_explains_itself_and_offers_its_link(
    page: Page, other: Page, peer: Peer
) -> None:
    peer.tell(START + chunk(2, content="x") + done("1-3"))
    await ask(page, peer)
    await expect(page.locator(".cost")).to_be_visible()
    address = page.url
    await reload(page)
    await expect(page.locator(".text")).to_have_text("x")
    await expect(page.locator("#elsewhere")).to_have_count(0)
    assert page.url == address
    await visit(other, address)
    await expect(other.locator("#elsewhere h1")).to_have_text("This conversation is not in this browser")
    await expect(other.locator("#welcome")).to_be_hidden()
    await other.get_by_role("link", name="Watch its last answer").click()
    await expect(other.locator(".text")).to_have_text("x")


async def test_an_address_without_an_answer_says_how_to_get_its_link_and_a_question_may_follow(
    page: Page, peer: Peer
) -> None:
    peer.tell(START + chunk(2, content="x") + done("1-3"))
    await visit(page, f"{peer.url}/#0123456789abcdef")
    await expect(page.locator("#elsewhere")).to_contain_text("press Share below it in that browser")
    await expect(page.get_by_role("link", name="Watch its last answer")).to_have_count(0)
    await ask(page, peer)
    await expect(page.locator(".cost")).to_be_visible()
    await expect(page.locator("#elsewhere")).to_be_hidden()
    await page.click("#new")
    await expect(page.locator("#welcome")).to_be_visible()


@pytest.mark.parametrize("language", ["en", "de", "es"])
async def test_a_page_weighs_little_and_breaks_no_rule_of_its_own(page: Page, peer: Peer, language: str) -> None:
    await page.add_init_script(f"Object.defineProperty(navigator, 'languages', {{ value: ['{language}'] }})")
    weights: dict[str, int] = {}
    complaints: list[str] = []

    async def weigh(response: Any) -> None:
        if not re.search("/v1/|math", response.url) and response.status == 200:
            # By address: a page whose load failed is opened again.
            weights[response.url] = len(await response.body())

    weighing: list[asyncio.Task[None]] = []
    page.on("response", lambda response: weighing.append(asyncio.create_task(weigh(response))))
    page.on("console", lambda entry: complaints.append(entry.text))
    peer.admission = NEARBY
    peer.tell(START + chunk(2, content="```python\nx = 1\n```\n") + done("1-3"))
    await ask(page, peer)
    await expect(page.locator(".cost")).to_be_visible()
    await page.wait_for_function("() => CSS.highlights.size > 0")  # what colours code is loaded a moment later
    await asyncio.gather(*weighing)
    weight = sum(weights.values())
    print(f"the page weighs {weight} bytes in {language}")
    assert 50_000 < weight < HEAVIEST
    await page.click(".share-button")
    await expect(page.locator("dialog.share svg[role=img]")).to_be_visible()
    # Chromium's word for a network interface that came or went on this machine; see visit.py.
    assert [text for text in complaints if "ERR_NETWORK_CHANGED" not in text] == []


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_serious_violation(page: Page, peer: Peer, packages: Path, scheme: Any, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    axe = (packages / "axe-core/axe.min.js").read_text()
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    everything = (
        "# Head\n\n- a `b`\n- [x] c\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx = 1\n```\n\n> [link](https://a.test/)\n"
        "\nOne[^1] and $x$\n\n$$\ny^2\n$$\n\n[^1]: note\n"
    )
    error = {"code": "x", "message": "Broken.", "http_status": 500}
    peer.tell(START + chunk(2, reasoning="hm", content=everything) + done("1-3", "failed", error))
    await visit(page, peer.url)
    assert await serious_violations(page, axe) == []
    await ask(page, peer)
    await expect(page.locator(".fault")).to_be_visible()
    assert await serious_violations(page, axe) == []
    await page.click("#open-settings")
    await expect(page.locator("#settings")).to_be_visible()
    assert await serious_violations(page, axe) == []
    await visit(page, f"{peer.url}/watch#s")
    await expect(page.locator(".fault")).to_be_visible()
    assert await serious_violations(page, axe) == []
    call = {"index": 0, "type": "search", "arguments": "{}", "output": "found"}
    live = chunk(2, reasoning="hm", content="x", refusal="No.", executed_tools=[call])
    peer.tell(START + live + sse("viewers", {"viewers": 2}) + "…")
    await reload(page)
    await expect(page.locator(".tool .result")).to_be_visible()
    await expect(page.locator("#viewers")).to_have_text("2 watching")
    assert await serious_violations(page, axe) == []
    await page.click("#share")
    await expect(page.locator("dialog.share .note")).to_be_visible()
    assert await serious_violations(page, axe) == []
    await page.goto(f"{peer.url}/nothing/here")
    await expect(page.locator(".missing")).to_be_visible()
    assert await serious_violations(page, axe) == []
    peer.admission = SIGNED_OUT
    await visit(page, peer.url)
    await expect(page.locator("#secret")).to_be_visible()
    assert await serious_violations(page, axe) == []
