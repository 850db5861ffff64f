"""Scripts on the pages: their steps, questions that several people see, and the developers' page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.broker import Broker, valkey_binary
from tests.clients.sse.firefox import Firefox
from tests.stack import Gateway, Simulator, Worker, closing_all
from tests.web.conftest import WEB
from tests.web.page_on_stack import DRAWN
from tests.web.peer import Peer, sse
from tests.web.test_firefox import open_page
from tests.web.test_page import START
from tests.web.visit import reload, serious_violations, visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("packages")]

PASSWORD = "correct horse battery"
CHAINS = """
from typing import Literal

from pydantic import BaseModel, Field

from manycast.script import Run, script

KNOBS = {"chunks": 6, "seed": 7}


class Order(BaseModel):
    article: Literal["tea", "cake"] = Field(description="What we sell")
    count: int = Field(ge=1, le=9)
    note: str | None = None
    gift: bool = False


class Orders(BaseModel):
    orders: list[Order]


@script
async def haiku(run: Run):
    draft = await run.generate(f"A haiku about {run.text}", name="draft", model="demo-echo")
    async with run.step("critics"):
        await run.gather(*(run.generate(f"Critic {n}", name=f"critic {n}", model="demo-fast", simulator=KNOBS)
                           for n in (1, 2)))
    return await run.generate("Write it again", name="final", model="demo-fast", say=True, simulator=KNOBS)


@script
async def slow(run: Run):
    await run.generate("First", name="first", model="demo-fast", simulator=KNOBS)
    await run.generate("On and on", name="second", model="demo-long")


@script
async def shop(run: Run):
    name = await run.input("Who are you?")
    word = await run.input("Would you like something?", choices=["Yes, please", "No"])
    order = await run.input("What would you like?", schema=Order)
    sure = await run.input("Sure?", schema=bool)
    orders = await run.input("And for the others?", schema=Orders)
    return f"{name}: {word}, {order.count} {order.article}, {order.note}, {order.gift}, {sure}, {len(orders.orders)}"


@script
async def hasty(run: Run):
    try:
        await run.input("Anybody?", timeout_s=1)
    except Exception:
        await run.say("Nobody.")


@script
async def fails(run: Run):
    await run.generate("Break", name="broken", model="fault-401")
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """For these scripts only."""
    broker = Broker(valkey_binary())
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def worker(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "chains.py").write_text(CHAINS)
    simulator = Simulator(SIMULATOR_FIRST_CHUNK_MS="0")
    worker = Worker(broker.url, simulator.url, MANYCAST_SCRIPTS=str(folder))
    with closing_all(worker, simulator):
        yield worker


@pytest.fixture(scope="module")
def url(broker: Broker, worker: Worker) -> Iterator[str]:
    gateway = Gateway(broker.url, MANYCAST_WEB_DIR=str(WEB), MANYCAST_LIST_RUNS="1")
    with closing_all(gateway):
        yield gateway.url


@pytest.fixture(scope="module")
def shut(broker: Broker, worker: Worker) -> Iterator[str]:
    """A gateway that asks for a password."""
    gateway = Gateway(broker.url, MANYCAST_WEB_DIR=str(WEB), MANYCAST_PASSWORD=PASSWORD)
    with closing_all(gateway):
        yield gateway.url


async def ask(page: Page, url: str, script: str, text: str = "autumn") -> str:
    """Asks on the chat page. Returns the id of the stream."""
    await visit(page, url)
    await page.wait_for_selector("#model:not([hidden])")
    await page.select_option("#model", f"script/{script}")
    await page.fill("#question", text)
    await page.keyboard.press("Enter")
    stream = await page.locator(".reply").get_attribute("data-stream")
    assert stream
    return stream


async def start(page: Page, url: str, script: str, text: str = "autumn") -> str:
    body = {"model": f"script/{script}", "messages": [{"role": "user", "content": text}]}
    stream: str = (await (await page.request.post(f"{url}/v1/streams", data=body)).json())["id"]
    return stream


def step(page: Page, name: str) -> Any:
    """The fold of a step."""
    return page.locator("details.step", has=page.locator(f':scope > summary .step-name:text-is("{name}")'))


async def test_steps_are_named_and_nested_and_folded_when_they_are_done(page: Page, other: Page, url: str) -> None:
    stream = await ask(page, url, "haiku")
    await visit(other, f"{url}/watch#{stream}")
    for each in (page, other):
        await each.wait_for_selector('.reply[data-state="ended"]')
        await expect(each.locator("details.step")).to_have_count(5)
        await expect(each.locator("details.step[open]")).to_have_count(0)
        await expect(step(each, "critics").locator("details.step")).to_have_count(2)
        await expect(each.locator(".choices .text")).not_to_be_empty()
        names = await each.locator(".step-name").all_text_contents()
        assert names == ["draft", "critics", "critic 1", "critic 2", "final"]
    await step(page, "draft").locator("> summary").click()
    await expect(step(page, "draft").locator(".text")).to_contain_text("A haiku about autumn")
    await expect(step(page, "draft").locator("> summary")).to_contain_text("demo-echo")


async def test_the_step_under_way_is_open_and_what_the_reader_opens_stays_open(page: Page, url: str) -> None:
    await ask(page, url, "slow")
    await expect(step(page, "second").locator(".text")).not_to_be_empty()
    await expect(step(page, "second")).to_have_attribute("open", "")
    await expect(step(page, "first")).not_to_have_attribute("open", "")
    await step(page, "first").locator("> summary").click()
    text = await step(page, "second").locator(".text").inner_text()
    await expect(step(page, "second").locator(".text")).not_to_have_text(text)  # it has grown since
    await expect(step(page, "first")).to_have_attribute("open", "")
    await page.click("#stop")
    await expect(page.locator(".state")).to_have_text("Stopped.")
    await expect(step(page, "second")).to_have_attribute("data-state", "stopped")


async def test_a_step_that_fails_says_why(page: Page, url: str) -> None:
    await ask(page, url, "fails")
    await expect(step(page, "broken")).to_have_attribute("data-state", "failed")
    await expect(step(page, "broken").locator(".problem")).to_contain_text("Incorrect API key")


async def test_two_people_answer_the_questions_of_a_script(page: Page, other: Page, url: str) -> None:
    stream = await ask(page, url, "shop")
    await visit(other, f"{url}/watch#{stream}")
    await expect(other.locator(".state")).to_contain_text("Waiting for an answer from you")
    await expect(other.locator("#announcer")).to_contain_text("Who are you?")
    # Nobody who types elsewhere loses the focus to a question.
    assert await page.evaluate("document.activeElement.id") == "question"
    await page.get_by_label("Who are you?").fill("Ada")
    await page.keyboard.press("Enter")
    for each in (page, other):
        await expect(each.locator(".script-question").first).to_contain_text("Answered: Ada")
    await other.get_by_role("button", name="Yes, please").click()
    await expect(page.get_by_role("button", name="Yes, please")).to_have_count(0)
    await page.get_by_label("Article").select_option("cake")
    await page.get_by_label("Count").fill("3")
    await page.get_by_label("Gift").check()
    await page.get_by_role("button", name="Send answer").click()
    await other.get_by_role("group", name="Sure?").get_by_role("button", name="Yes").click()
    field = page.get_by_label("And for the others? Answer, as JSON")
    await field.fill('{"orders": 5}')
    await page.get_by_role("button", name="Send answer").click()
    await expect(page.locator(".problem[role=alert]:visible")).to_contain_text(
        "'value.orders' must be of the type array"
    )
    await field.fill('{"orders": []}')
    await page.keyboard.press("Control+Enter")
    for each in (page, other):
        await expect(each.locator(".choices .text")).to_have_text("Ada: Yes, please, 3 cake, None, True, True, 0")
        await expect(each.locator(".answering")).to_have_count(0)


async def test_a_page_that_is_reloaded_asks_the_open_question_again(page: Page, url: str) -> None:
    await ask(page, url, "shop")
    await expect(page.get_by_label("Who are you?")).to_be_visible()
    await reload(page)
    await page.get_by_label("Who are you?").fill("Ada")
    await page.get_by_role("button", name="Send answer").click()
    await expect(page.get_by_role("button", name="Yes, please")).to_be_visible()
    await page.click("#stop")
    await expect(page.locator(".script-question").last).to_contain_text("The run ended before anybody answered.")


async def test_a_stored_answer_gets_its_steps_back_from_the_stream(page: Page, url: str) -> None:
    await ask(page, url, "haiku")
    await page.wait_for_selector(DRAWN)
    text = await page.locator(".choices .text").inner_text()
    for _ in range(2):
        await reload(page)
        await expect(page.locator("details.step")).to_have_count(5)
        await expect(page.locator("details.step[open]")).to_have_count(0)
        await expect(page.locator(".choices .text")).to_have_text(text, use_inner_text=True)
    await step(page, "critics").locator("> summary").click()
    await step(page, "critic 2").locator("> summary").click()
    await expect(step(page, "critic 2").locator(".text")).not_to_be_empty()


async def test_a_stored_answer_shows_who_answered_and_asks_nothing(page: Page, url: str) -> None:
    await ask(page, url, "shop")
    await page.get_by_label("Who are you?").fill("Ada")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Yes, please")).to_be_visible()
    await page.click("#stop")
    await expect(page.locator(".state")).to_have_text("Stopped.")
    await reload(page)
    questions = page.locator(".script-question")
    await expect(questions).to_contain_text(["Answered: Ada", "The run ended before anybody answered."])
    await expect(page.locator(".answering")).to_have_count(0)
    await expect(page.locator("#announcer")).not_to_contain_text("Who are you?")


async def test_a_stored_answer_stays_when_the_server_has_its_steps_no_more(page: Page, url: str) -> None:
    stream = await ask(page, url, "haiku")
    await page.wait_for_selector(DRAWN)
    text = await page.locator(".choices .text").inner_text()
    assert (await page.request.delete(f"{url}/v1/streams/{stream}")).ok
    async with page.expect_response(f"**/v1/streams/{stream}/events*") as gone:
        await reload(page)
    assert (await gone.value).status == 404
    await expect(page.locator(".choices .text")).to_have_text(text, use_inner_text=True)
    await expect(page.locator('.reply[data-state="ended"][data-status="completed"]')).to_have_count(1)
    await expect(page.locator("details.step")).to_have_count(0)


async def test_who_may_only_watch_sees_that_a_script_waits(page: Page, other: Page, shut: str) -> None:
    await visit(page, shut)
    await page.get_by_label("Password or API key").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator("#composer")).to_be_visible()
    stream = await ask(page, shut, "shop")
    await expect(page.get_by_label("Who are you?")).to_be_visible()
    await visit(other, f"{shut}/watch#{stream}")
    await expect(other.locator(".script-question")).to_contain_text("Waits for somebody who may ask questions here.")
    await expect(other.locator(".answering")).to_have_count(0)
    await page.get_by_label("Who are you?").fill("Ada")
    await page.keyboard.press("Enter")
    await expect(other.locator(".script-question").first).to_contain_text("person answered: Ada")
    await page.click("#stop")


async def test_a_question_that_nobody_answers_in_time_says_so(page: Page, url: str) -> None:
    await ask(page, url, "hasty")
    await expect(page.locator(".script-question")).to_contain_text("Nobody answered in time.")
    await expect(page.locator(".choices .text")).to_have_text("Nobody.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_steps_and_questions_are_accessible(page: Page, url: str, packages: Path, scheme: Any) -> None:
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    stream = await ask(page, url, "shop")
    await expect(page.get_by_label("Who are you?")).to_be_visible()
    axe = (packages / "axe-core/axe.min.js").read_text()
    assert await serious_violations(page, axe) == []
    await visit(page, f"{url}/runs#{stream}")
    await expect(page.get_by_label("Who are you?")).to_be_visible()
    assert await serious_violations(page, axe) == []
    await page.request.post(f"{url}/v1/streams/{stream}/cancel")


async def test_of_a_script_that_was_changed_only_the_new_steps_are_shown(page: Page, peer: Peer) -> None:
    def told(place: str, name: str, position: str) -> str:
        begin = {"id": place, "state": "begin", "kind": "generate", "name": name, "parent": None}
        return sse("step", begin, position)

    restart = sse("restart", {"epoch": 2, "reason": "script_changed"}, "2-1")
    peer.tell(START + told("1", "old", "1-2") + told("2", "older", "1-3") + "…")
    await visit(page, f"{peer.url}/watch#s")
    await expect(page.locator(".step-name")).to_have_text(["old", "older"])
    await peer.say(restart + told("1", "new", "2-2"))
    await expect(page.locator(".step-name")).to_have_text(["new"])
    await expect(page.locator(".note")).to_have_text("The script was changed, so it began again.")


def cell(page: Page, name: str, column: int = 0) -> Any:
    """A step on the developers' page."""
    row = page.locator(".script-row", has=page.locator(f'.cell-head b:text-is("{name}")')).first
    return row.locator(".script-cell").nth(column)


async def test_developers_read_prompts_run_again_from_a_step_and_compare(page: Page, other: Page, url: str) -> None:
    stream = await start(page, url, "haiku")
    for each in (page, other):
        await visit(each, f"{url}/runs#{stream}")
        await expect(cell(each, "draft").locator(".message")).to_contain_text("A haiku about autumn")
        await expect(cell(each, "final").locator(".output")).not_to_be_empty()
        await expect(cell(each, "final").locator(".prompts summary")).to_have_text("2 earlier messages")
        await expect(cell(each, "critic 2").locator(".step-facts")).to_contain_text("tokens")
    await cell(page, "draft").get_by_role("button", name="Run again from here").click()
    await expect(page.get_by_label("Prompt")).to_have_value("A haiku about autumn")
    await page.get_by_label("Prompt").fill("A haiku about spring")
    await page.get_by_role("button", name="Run again", exact=True).click()
    await page.wait_for_url(f"**/runs#*,{stream}")
    await expect(cell(page, "draft", 0).locator(".output")).to_contain_text("spring")
    await expect(cell(page, "draft", 1).locator(".output")).to_contain_text("autumn")
    await expect(page.locator(".script-row.differs").first).to_contain_text("draft")
    await expect(page.locator(".script-run > .small").first).to_contain_text(f"Goes on from run {stream}, step 1.")


async def test_a_step_with_another_prompt_differs_even_if_the_model_says_the_same(page: Page, url: str) -> None:
    first = await start(page, url, "haiku")
    await visit(page, f"{url}/runs#{first}")
    await expect(cell(page, "final").locator(".output")).not_to_be_empty()
    again = {"step": "2.1.1.1", "prompt": "Another critic"}
    second = (await (await page.request.post(f"{url}/v1/streams/{first}/again", data=again)).json())["id"]
    await visit(page, f"{url}/runs#{second},{first}")
    await expect(page.locator(".script-row.differs", has_text="critic 1")).to_contain_text("Another critic")
    await expect(page.locator(".script-row.differs", has_text="critic 2")).to_have_count(0)


async def test_developers_see_a_question_and_answer_it(page: Page, other: Page, url: str) -> None:
    stream = await start(page, url, "shop")
    for each in (page, other):
        await visit(each, f"{url}/runs#{stream}")
    await page.get_by_label("Who are you?").fill("Ada")
    await page.get_by_role("button", name="Send answer").click()
    for each in (page, other):
        await expect(cell(each, "Who are you?").locator(".output")).to_have_text("Answered: Ada")
        await expect(each.locator(".facts")).to_contain_text("1: began · 2")
        await expect(each.get_by_role("button", name="Yes, please")).to_be_visible()
    await page.request.post(f"{url}/v1/streams/{stream}/cancel")


async def test_a_question_is_answered_in_firefox_and_developers_compare_there(
    firefox: Firefox, page: Page, url: str
) -> None:
    stream = await start(page, url, "shop")
    tab = await open_page(firefox, f"{url}/watch#{stream}")
    await tab.shows("document.querySelector('.answering textarea')")
    await tab.get("document.querySelector('.answering textarea').focus()")
    await tab.press("Ada\ue007")
    await tab.shows("document.querySelector('.script-question').textContent.includes('Answered: Ada')")
    await tab.shows("document.querySelectorAll('.options button').length === 2")
    await page.request.post(f"{url}/v1/streams/{stream}/cancel")

    first, second = [await start(page, url, "haiku", text) for text in ("autumn", "spring")]
    tab = await open_page(firefox, f"{url}/runs#{first},{second}")
    shown = "[...document.querySelectorAll('.script-row:not(.heads)')].length === 5"
    await tab.shows(shown)
    await tab.shows("document.querySelectorAll('.script-row:not(.heads) .output')[1].textContent.includes('spring')")
