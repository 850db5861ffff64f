"""Measures how long a growing answer blocks the page: 20 kB of markdown in 1,000 chunks, live and all at once.

Run `python -m bench.page`. It prints the longest task and the time that the main thread was busy, as Chromium measured
them. Run it on an idle machine: a task that waits for the processor counts as long.
"""

import asyncio
from typing import Any

from playwright.async_api import Browser, async_playwright

from tests.web.conftest import ARGUMENTS, CHROMIUM, serving
from tests.web.peer import Peer, sse
from tests.web.visit import visit

CHUNKS = 1000
CHUNKS_PER_S = 200
SECTION = """## A section of some length

A paragraph with **bold**, *italic* and `code`, a [link](https://example.org/), and enough words to fill a line or two.

- one point
- another, with `code`
  - and one below it

| a | b | c |
|---|---|---|
| 1 | two | three |

```python
async def section(number: int) -> str:
    return f"section {number}"  # and so on
```

"""
SECTIONS = (SECTION * 60)[:20_000]
# One block: all of it can change until the end.
ONE_LIST = (
    "- a point with **bold**, *italic* and `code`, and a [link](https://example.org/)\n  - and one below it\n" * 250
)[:20_000]
KINDS = ("Script", "RecalcStyle", "Layout", "Task")
OBSERVE = """() => {
  globalThis.tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({ type: "longtask" });
}"""


def events(answer: str) -> list[str]:
    size = len(answer) // CHUNKS
    start = sse("start", {"stream": "s", "epoch": 1, "chunk": {"model": "m"}}, "1-1")
    chunks = [
        sse("chunk", {"choices": [{"index": 0, "delta": {"content": answer[at : at + size]}}]}, f"1-{2 + number}")
        for number, at in enumerate(range(0, len(answer), size))
    ]
    timing = {"queued_ms": 0, "first_chunk_ms": 0, "total_ms": 5000}
    data = {"status": "completed", "finish_reason": "stop", "usage": None, "error": None, "timing": timing}
    return [start, *chunks, sse("done", data, "1-9999")]


async def measure(browser: Browser, name: str, answer: str, chunks_per_s: int | None) -> None:
    async with serving(Peer()) as peer:
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        page = await context.new_page()
        first, *rest = events(answer)
        peer.tell(first + ("…" if chunks_per_s else "".join(rest)))
        await visit(page, peer.url)
        await page.evaluate(OBSERVE)
        devtools = await context.new_cdp_session(page)
        await devtools.send("Performance.enable")
        before = await durations_s(devtools)
        await page.fill("#question", "Go")
        await page.keyboard.press("Enter")
        if chunks_per_s:
            await page.wait_for_selector(".reply")
            for event in rest:
                await peer.say(event)
                await asyncio.sleep(1 / chunks_per_s)
        await page.wait_for_selector('.reply[data-state="ended"][aria-busy="false"]', timeout=60_000)
        tasks: list[float] = await page.evaluate("tasks")
        after = await durations_s(devtools)
        total_ms = {kind: round((after[f"{kind}Duration"] - before[f"{kind}Duration"]) * 1000) for kind in KINDS}
        print(f"{name:22} longest task {max(tasks, default=0):.0f} ms, {len(tasks)} over 50 ms; total ms: {total_ms}")
        await context.close()


async def durations_s(devtools: Any) -> dict[str, float]:
    metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
    return {metric["name"]: float(metric["value"]) for metric in metrics}


async def main() -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name, answer in (("sections", SECTIONS), ("one list", ONE_LIST)):
            await measure(browser, f"{name}, live", answer, CHUNKS_PER_S)
            await measure(browser, f"{name}, all at once", answer, None)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
