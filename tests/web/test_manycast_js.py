"""The browser client, run in a real browser against a peer that breaks as it is told."""

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import Page

from tests.web.peer import Peer, sse

pytestmark = pytest.mark.asyncio(loop_scope="session")

START = sse("start", {"stream": "s", "epoch": 1, "chunk": {"id": "c", "model": "m"}}, "1-1")
DONE = {"status": "completed", "finish_reason": "stop", "usage": None, "error": None, "timing": None}


def chunk(text: str, position: str) -> str:
    return sse("chunk", {"choices": [{"index": 0, "delta": {"content": text}}]}, position)


WATCH = """async ([options, until, url]) => {
  const { watch } = await import("/manycast.js");
  const log = [];
  const note = (name) => (value) => log.push([name, value]);
  const viewer = await new Promise((resolve) => {
    const viewer = watch(url, {
      chunk: (chunk) => log.push(["chunk", chunk.choices[0].delta.content]),
      restart: note("restart"), gap: note("gap"), done: note("done"), refused: note("refused"),
      viewers: note("viewers"),
      state: (state) => {
        log.push(["state", state]);
        if (state === until) setTimeout(() => resolve(viewer), 0);
      },
    }, options);
    viewer.finished.then(() => resolve(viewer));
  });
  viewer.close();
  return { log, state: viewer.state, position: viewer.position };
}"""


async def follow(
    page: Page, peer: Peer, options: dict[str, Any] | None = None, until: str = "", url: str = "/v1/streams/s/events"
) -> dict[str, Any]:
    """Watch until the end, or until a state; answers what the callbacks were told."""
    await page.goto(f"{peer.url}/manycast.d.ts")  # any page of this origin
    result: dict[str, Any] = await page.evaluate(WATCH, [options or {}, until, url])
    return result


def told(result: dict[str, Any], name: str) -> list[Any]:
    return [value for told_name, value in result["log"] if told_name == name]


@pytest.mark.parametrize(
    ("shared", "difference", "whole"),
    [
        ({"id": "c", "model": "m"}, {"choices": []}, {"id": "c", "model": "m", "choices": []}),
        ({"id": "c", "model": "m"}, {"model": "n"}, {"id": "c", "model": "n"}),
        ({"id": "c", "fp": None}, {"$unset": ["fp"], "choices": []}, {"id": "c", "choices": []}),
        ({"id": "c"}, {"$$unset": ["a"], "$$$x": 1}, {"id": "c", "$unset": ["a"], "$$x": 1}),
        ({"id": "c"}, {"usage": None}, {"id": "c", "usage": None}),
    ],
)
async def test_a_difference_merges_back_into_the_providers_chunk(
    page: Page, peer: Peer, shared: dict[str, Any], difference: dict[str, Any], whole: dict[str, Any]
) -> None:
    await page.goto(f"{peer.url}/manycast.d.ts")
    merge = "async ([a, b]) => (await import('/manycast.js')).merge(a, b)"
    assert await page.evaluate(merge, [shared, difference]) == whole


async def test_a_field_called_proto_stays_a_field(page: Page, peer: Peer) -> None:
    await page.goto(f"{peer.url}/manycast.d.ts")
    merge = "async (text) => JSON.stringify((await import('/manycast.js')).merge({}, JSON.parse(text)))"
    assert json.loads(await page.evaluate(merge, '{"__proto__": 1}')) == {"__proto__": 1}


async def test_a_finished_stream_is_told_whole_and_in_order(page: Page, peer: Peer) -> None:
    peer.tell(
        sse("ping", {"state": "waiting"}) + START + chunk("a", "1-2") + chunk("b", "1-3") + sse("done", DONE, "1-4")
    )
    result = await follow(page, peer)
    assert result["log"] == [
        ["state", "waiting"],
        ["state", "streaming"],
        ["chunk", "a"],
        ["chunk", "b"],
        ["done", DONE],
        ["state", "ended"],
    ]
    assert result["position"] == "1-4"


async def test_a_broken_line_resumes_from_its_position(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk("a", "1-2"), chunk("b", "1-3") + sse("done", DONE, "1-4"))
    result = await follow(page, peer)
    assert peer.asked == [None, "1-2"]
    assert told(result, "chunk") == ["a", "b"]
    assert "reconnecting" in told(result, "state")


async def test_an_event_that_comes_twice_is_told_once(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk("a", "1-2") + chunk("a", "1-2") + START + chunk("b", "1-3") + sse("done", DONE, "1-4"))
    assert told(await follow(page, peer), "chunk") == ["a", "b"]


async def test_a_bad_gateway_is_not_the_end(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk("a", "1-2"), 502, 503, chunk("b", "1-3") + sse("done", DONE, "1-4"))
    result = await asyncio.wait_for(follow(page, peer, {"stallAfterMs": 600_000}), 30)
    assert told(result, "chunk") == ["a", "b"]
    assert peer.asked == [None, "1-2", "1-2", "1-2"]


async def test_a_gateway_with_too_many_viewers_is_told_and_tried_again(page: Page, peer: Peer) -> None:
    full = sse("ping", {"state": "full"})
    peer.tell(full, full, START + chunk("a", "1-2") + sse("done", DONE, "1-3"))
    result = await follow(page, peer)
    assert peer.asked == [None, None, None]
    assert told(result, "state") == ["full", "streaming", "ended"]


async def test_a_silent_line_counts_as_dead(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk("a", "1-2") + "…", chunk("b", "1-3") + sse("done", DONE, "1-4"))
    # Long enough that a busy machine, which is silent too, is not taken for dead before it has sent anything.
    result = await follow(page, peer, {"stallAfterMs": 5000})
    assert told(result, "chunk") == ["a", "b"]
    assert peer.asked == [None, "1-2"]


async def test_a_restart_is_told_and_the_new_epoch_follows(page: Page, peer: Peer) -> None:
    again = sse("start", {"stream": "s", "epoch": 2, "chunk": {"model": "n"}}, "2-2")
    restart = {"epoch": 2, "reason": "worker_lost"}
    peer.tell(
        START
        + chunk("a", "1-2")
        + sse("restart", restart, "2-1")
        + again
        + chunk("b", "2-3")
        + sse("done", DONE, "2-4")
    )
    result = await follow(page, peer)
    assert [name for name, _ in result["log"] if name != "state"] == ["chunk", "restart", "chunk", "done"]
    assert told(result, "restart") == [restart]


async def test_after_a_gap_the_stream_is_taken_from_its_start(page: Page, peer: Peer) -> None:
    gap = {"asked": "1-9", "last": "1-3"}
    peer.tell(sse("gap", gap) + START + chunk("a", "1-2") + sse("done", DONE, "1-3"))
    result = await follow(page, peer, {"after": "1-9"})
    assert peer.asked == ["1-9"]
    assert told(result, "gap") == [gap]
    assert told(result, "chunk") == ["a"]


async def test_no_content_at_the_end_is_the_end(page: Page, peer: Peer) -> None:
    peer.tell(204)
    peer.status = (200, {"status": "completed", "position": "1-4"})
    result = await follow(page, peer, {"after": "1-4"})
    assert result["state"] == "ended"
    assert len(peer.asked) == 1


async def test_a_stream_that_never_was_is_gone(page: Page, peer: Peer) -> None:
    peer.tell(404)
    peer.status = (404, {"error": {"message": "no such stream", "code": "not_found"}})
    assert (await follow(page, peer))["state"] == "gone"


async def test_a_refusal_is_told_in_the_gateways_words(page: Page, peer: Peer) -> None:
    peer.tell(403)
    peer.status = (403, {"error": {"message": "no ticket", "code": "forbidden"}})
    result = await follow(page, peer)
    assert result["state"] == "refused"
    assert told(result, "refused")[0]["error"]["message"] == "no ticket"


async def test_an_address_with_a_ticket_is_watched_through_broken_lines(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk("a", "1-2"), 503, chunk("b", "1-3") + sse("done", DONE, "1-4"))
    result = await follow(page, peer, url=f"/v1/streams/p_1/events?ticket={peer.tickets.ticket('view', 'p_1')}")
    assert told(result, "chunk") == ["a", "b"]
    assert peer.asked == [None, "1-2", "1-2"]


async def test_a_ticket_that_has_expired_is_not_tried_again(page: Page, peer: Peer) -> None:
    result = await follow(page, peer, url="/v1/streams/p_1/events?ticket=expired")
    assert result["state"] == "refused"
    assert [each["error"]["code"] for each in told(result, "refused")] == ["ticket_expired"]


async def test_a_lost_log_ends_the_stream_without_a_position(page: Page, peer: Peer) -> None:
    lost = {**DONE, "status": "failed", "error": {"code": "stream_lost", "message": "the log is gone"}}
    peer.tell(START + chunk("a", "1-2") + sse("done", lost))
    result = await follow(page, peer)
    assert told(result, "done") == [lost]
    assert result["position"] == "1-2"


async def test_an_unknown_event_is_ignored(page: Page, peer: Peer) -> None:
    peer.tell(sse("novelty", {}) + START + chunk("a", "1-2") + sse("done", DONE, "1-3"))
    assert told(await follow(page, peer), "chunk") == ["a"]


async def test_a_viewer_that_closes_hears_no_more(page: Page, peer: Peer) -> None:
    peer.tell(START + chunk("a", "1-2") + "…")
    result = await follow(page, peer, until="streaming")
    assert result["state"] == "closed"
    assert told(result, "done") == []


async def test_tool_calls_and_reasoning_are_put_together(page: Page, peer: Peer) -> None:
    def delta(**fields: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": fields}]}

    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a"'}}
    chunks = [
        delta(reasoning_content="hm"),
        delta(reasoning="m", content=None),
        delta(tool_calls=[call]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
        {"choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"total_tokens": 3}},
    ]
    await page.goto(f"{peer.url}/manycast.d.ts")
    add_up = """async (chunks) => {
      const answer = new (await import("/answer.js")).Answer();
      chunks.forEach((chunk) => answer.add(chunk));
      return { choices: answer.choices, usage: answer.usage };
    }"""
    answer = await page.evaluate(add_up, chunks)
    assert answer["choices"][0]["reasoning"] == "hmm"
    assert answer["choices"][0]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"a":1}'}
    assert answer["choices"][1]["content"] == "b"
    assert answer["choices"][1]["finish_reason"] == "stop"
    assert answer["usage"] == {"total_tokens": 3}


async def test_a_viewer_knows_by_a_scripts_events_whether_it_writes_or_waits(page: Page, peer: Peer) -> None:
    step = sse("step", {"id": "1", "state": "begin", "kind": "generate", "name": "draft", "parent": None}, "1-2")
    asked = sse("input", {"id": "2", "state": "asked", "question": "Sure?"}, "1-3")
    answered = sse("input", {"id": "2", "state": "answered", "value": "yes", "by": None}, "1-4")
    waiting = 'event: ping\ndata: {"state":"waiting"}\n\n'
    peer.tell(START + waiting + step + asked + waiting + answered + sse("done", DONE, "1-5"))
    states = told(await follow(page, peer), "state")
    assert states == ["waiting", "streaming", "parked", "waiting", "streaming", "ended"]
