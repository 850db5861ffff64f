"""That the counts tell what became of each request, and that a client who leaves is noticed at once."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.simulator.process import DEADLINE_S, WITHOUT_PAUSES, Simulator, body, counts_of

CALL = "/v1/chat/completions"
SLOW = {"first_chunk_ms": 60_000}
CRAWLING = {"first_chunk_ms": 0, "chunks_per_s": 0.1}


async def counts_when(
    client: httpx2.AsyncClient, model: str, reached: Callable[[dict[str, int]], bool]
) -> dict[str, int]:
    """Asks until the counts are as wanted; they are asked for over the network, so that others get their turn."""
    async with asyncio.timeout(DEADLINE_S):
        while not reached(counts := await counts_of(client, model)):
            pass
        return counts


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("demo-long", {"stream": True, "simulator": CRAWLING}),
        ("demo-reasoning", {"stream": True, "simulator": SLOW}),
        ("demo-tools", {"simulator": SLOW}),
        ("fault-stall-first", {"stream": True}),
        ("fault-stall-middle", {"stream": True}),
    ],
    ids=["between two chunks", "before the first chunk", "whole", "stalled first", "stalled middle"],
)
async def test_a_client_who_leaves_is_counted_as_aborted(
    http: httpx2.AsyncClient, simulator: object, model: str, fields: dict[str, Any]
) -> None:
    before = await counts_when(http, model, lambda counts: not counts.get("open"))
    asking = asyncio.create_task(http.post(CALL, json=body(model, **fields)))
    await counts_when(http, model, lambda counts: counts.get("requests", 0) > before.get("requests", 0))
    assert (await counts_of(http, model))["open"] == 1
    asking.cancel()
    await asyncio.wait((asking,))
    after = await counts_when(http, model, lambda counts: counts["open"] == 0)
    assert after["aborted"] == before.get("aborted", 0) + 1
    assert after["completed"] == before.get("completed", 0)


async def test_a_client_who_does_not_read_is_noticed_when_it_leaves(http: httpx2.AsyncClient) -> None:
    before = await counts_of(http, "demo-long")
    asked = body("demo-long", stream=True, simulator={"chunks": 100_000})
    async with http.stream("POST", CALL, json=asked) as answer:
        assert answer.status_code == 200
        await counts_when(http, "demo-long", lambda counts: counts["open"] == 1)
    after = await counts_when(http, "demo-long", lambda counts: counts["open"] == 0)
    assert after["aborted"] == before.get("aborted", 0) + 1


async def test_what_was_played_to_its_end_is_completed_even_where_the_end_is_bad(http: httpx2.AsyncClient) -> None:
    before = await counts_of(http, "fault-drop")
    with pytest.raises(httpx2.RemoteProtocolError):
        await http.post(CALL, json=body("fault-drop", stream=True))
    after = await counts_when(http, "fault-drop", lambda counts: counts["open"] == 0)
    assert after["completed"] == before.get("completed", 0) + 1
    assert after["aborted"] == 0


async def test_the_counts_add_up_and_unknown_models_have_none_of_their_own(http: httpx2.AsyncClient) -> None:
    await http.post(CALL, json=body("no-such-model"))
    await http.post(CALL, content=b"{")
    await http.post(CALL, json=body("fault-401"))
    await http.post(CALL, json=body("demo"))
    stats = (await http.get("/simulator/stats")).json()
    models = stats.pop("models")
    assert "no-such-model" not in models
    for counts in (stats, *models.values()):
        assert counts["requests"] == sum(counts[name] for name in ("open", "completed", "aborted", "refused"))
    assert stats["refused"] > models["fault-401"]["refused"] > 0
    assert stats["completed"] == sum(each["completed"] for each in models.values())


async def test_the_bill_outlives_the_process_and_has_each_answered_call(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    for turn in ("first", "second"):
        simulator = Simulator(**WITHOUT_PAUSES, SIMULATOR_BILL_FILE=str(file))
        async with httpx2.AsyncClient(base_url=simulator.url, timeout=DEADLINE_S) as client:
            await client.post(CALL, json=body("demo", user=turn))
            await client.post(CALL, json=body("demo", user=f"{turn} streamed", stream=True))
            await client.post(CALL, json=body("fault-401", user=turn))
            asked = body("demo-long", stream=True, user=["no", "text"], simulator=CRAWLING)
            async with client.stream("POST", CALL, json=asked):
                pass
            await counts_when(client, "demo-long", lambda counts: counts.get("aborted", 0) == 1)
            async with client.stream(
                "POST", CALL, json=body("demo-long", user="open", simulator=CRAWLING, stream=True)
            ):
                simulator.stop(signal.SIGKILL)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["model"], line["user"], line["ending"]) for line in lines] == [
        call
        for turn in ("first", "second")
        for call in (
            ("demo", turn, "completed"),
            ("demo", f"{turn} streamed", "completed"),
            ("demo-long", None, "aborted"),
        )
    ]


async def test_calls_that_ask_the_same_have_the_same_digest_in_the_bill(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    simulator = Simulator(**WITHOUT_PAUSES, SIMULATOR_BILL_FILE=str(file))
    asked = [[{"role": "user", "content": text}] for text in ("a", "b", "a")]
    async with httpx2.AsyncClient(base_url=simulator.url, timeout=DEADLINE_S) as client:
        for number, messages in enumerate(asked):
            sent = {**body("demo"), "messages": messages, "temperature": number}
            (await client.post(CALL, json=sent)).raise_for_status()
        embedded = {"model": "demo", "input": "a"}
        (await client.post("/v1/embeddings", json=embedded)).raise_for_status()
    simulator.stop(signal.SIGKILL)
    first, second, again, embedding = (json.loads(line)["messages"] for line in file.read_text().splitlines())
    assert first == again != second
    assert embedding is None
