"""Streams watched in other dialects than the native one, through a real gateway."""

import asyncio
import json
import re

import httpx2
import pytest

from contract.event import Status
from gateway.dialects.registry import DIALECTS
from tests.author import Author, Run
from tests.gateway.dialects.test_openai import read_frames
from tests.gateway.fanout.recording import attempt, chunk_of, done
from tests.stack import Gateway

BODY = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}


async def start(http: httpx2.AsyncClient, author: Author) -> Run:
    """A run that is claimed and has written nothing."""
    (await http.post("/v1/streams", json=BODY)).raise_for_status()
    return await author.take()


async def read(http: httpx2.AsyncClient, run: Run, dialect: str, after: str = "") -> bytes:
    """All of a response, without the keep-alives."""
    response = await http.get(f"/v1/streams/{run.stream_id}/events", params={"dialect": dialect, "after": after})
    assert response.status_code == 200
    return response.content.replace(b": ping\n\n", b"")


async def test_whoever_comes_late_gets_every_chunk_as_openai_would_send_it(
    http: httpx2.AsyncClient, author: Author
) -> None:
    run = await start(http, author)
    chunks = [chunk_of({"content": f"word{n} "}) for n in range(1500)]
    entries = attempt(chunks)
    for at in range(0, len(entries), 250):
        await run.write(entries[at : at + 250])
    await run.write([done()], Status.COMPLETED)
    # More than memory holds: most of it is written anew from pages of the log, from the fields that `start` gave.
    assert read_frames(await read(http, run, "openai")) == [*chunks, "[DONE]"]
    assert read_frames(await read(http, run, "openai", after="1-601")) == [*chunks[600:], "[DONE]"]
    assert (await read(http, run, "text")).decode() == "".join(f"word{n} " for n in range(1500)) + "\n"


async def test_a_viewer_of_both_epochs_is_told_and_one_who_comes_later_sees_only_the_new(
    http: httpx2.AsyncClient, author: Author
) -> None:
    run = await start(http, author)
    lost, again = chunk_of({"content": "lost"}), chunk_of({"content": "again"}, "stop", created=2)
    await run.write(attempt([lost]))
    url = f"/v1/streams/{run.stream_id}/events"
    async with http.stream("GET", url, params={"dialect": "openai"}) as early:
        lines = early.aiter_lines()
        while (line := await anext(lines)) in {": ping", ""}:
            pass
        assert json.loads(line.removeprefix("data: ")) == lost
        second = await run.lose()
        rest = [line async for line in lines if line.startswith("data: ")]
        assert [json.loads(line.removeprefix("data: "))["error"]["code"] for line in rest] == ["worker_lost"]
    await second.write([*attempt([again], 2, 2), done()], Status.COMPLETED)
    assert read_frames(await read(http, run, "openai")) == [again, "[DONE]"]
    assert await read(http, run, "text") == b"again\n"
    native = await read(http, run, "native")
    assert [line for line in native.decode().split("\n") if line.startswith("event: ") and "viewers" not in line] == [
        f"event: {kind}" for kind in ("start", "chunk", "restart", "start", "chunk", "done")
    ]


@pytest.mark.parametrize("dialect", sorted(set(DIALECTS) - {"text"}))
async def test_every_block_is_data_or_a_comment_and_never_both(
    http: httpx2.AsyncClient, author: Author, dialect: str
) -> None:
    run = await start(http, author)
    url = f"/v1/streams/{run.stream_id}/events"
    text = ""
    async with asyncio.timeout(60), http.stream("GET", url, params={"dialect": dialect}) as response:
        pieces = response.aiter_text()
        while text.count("ping") < 3:
            text += await anext(pieces)
        await run.write([*attempt([chunk_of({"content": "word"})]), done()], Status.COMPLETED)
        text += "".join([piece async for piece in pieces])
    *blocks, last = text.split("\n\n")
    assert last == ""
    for block in blocks:
        lines = block.split("\n")
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        assert lines == [": ping"] or (len(data) == 1 and not any(line.startswith(":") for line in lines)), block
        assert not data or data == ["[DONE]"] or json.loads(data[0]), block


@pytest.mark.parametrize("dialect", ["openai", "openai-usage", "ui", "ui-continued"])
async def test_a_viewer_that_gets_events_at_once_gets_no_keep_alive_before_them(
    http: httpx2.AsyncClient, author: Author, dialect: str
) -> None:
    run = await start(http, author)
    await run.write(attempt([chunk_of({"content": "word"})]))
    async with http.stream("GET", f"/v1/streams/{run.stream_id}/events", params={"dialect": dialect}) as response:
        assert (await anext(response.aiter_text())).startswith("data: ")
    await run.write([done()], Status.COMPLETED)


async def test_an_unknown_dialect_is_refused_with_the_ones_there_are(http: httpx2.AsyncClient, author: Author) -> None:
    run = await start(http, author)
    response = await http.get(f"/v1/streams/{run.stream_id}/events", params={"dialect": "morse"})
    assert response.status_code == 400
    assert "openai" in response.json()["error"]["message"]


async def written(http: httpx2.AsyncClient) -> dict[str, int]:
    """Events encoded so far, by dialect."""
    text = (await http.get("/metrics")).text
    return {name: int(float(count)) for name, count in re.findall(r'events_written_total{dialect="(.*)"} (.*)', text)}


async def test_a_hundred_viewers_in_two_dialects_cost_two_encodings_of_each_event(
    gateway: Gateway, author: Author
) -> None:
    limits = httpx2.Limits(max_connections=200)
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=20, limits=limits) as http:
        before = await written(http)
        run = await start(http, author)
        dialects = ["openai", "native"] * 50
        reading = [asyncio.create_task(read(http, run, dialect)) for dialect in dialects]
        async with asyncio.timeout(60):
            while (await http.get(f"/v1/streams/{run.stream_id}")).json()["viewers"] != 100:
                await asyncio.sleep(0.02)
        chunks = [chunk_of({"content": f"word{n} "}) for n in range(40)]
        for entry in attempt(chunks):
            await run.write([entry])
        await run.write([done()], Status.COMPLETED)
        texts = await asyncio.gather(*reading)
        assert all(read_frames(text) == [*chunks, "[DONE]"] for text in texts[::2])
        assert all(text.count(b"event: chunk\n") == 40 for text in texts[1::2])
        after = await written(http)
    assert {name: after[name] - before.get(name, 0) for name in ("openai", "native")} == {"openai": 42, "native": 42}
