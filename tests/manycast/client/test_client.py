"""The client against a server of the protocol that breaks in every way a network can."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from contract.event import Status
from contract.position import Position
from manycast.client import Client, watch
from manycast.client.errors import (
    ConnectionLostError,
    NotManycastError,
    RefusedError,
    StreamNotFoundError,
    UnreachableError,
)
from manycast.client.event import Chunk, Done, Event, Gap, Ping, Reconnecting, Restart, Start, Viewers
from tests.manycast.scripted_server import (
    LOG,
    SHARED,
    STREAM_ID,
    Request,
    ScriptedServer,
    delta,
    done,
    frame,
    log_of,
    write_events,
    write_head,
    write_json,
    write_refusal,
)


@pytest.fixture
async def client(scripted_server: ScriptedServer) -> AsyncIterator[Client]:
    async with Client(scripted_server.url, stall_limit_s=0.3, patience_s=2) as client:
        yield client


async def follow(client: Client, stream_id: str = STREAM_ID) -> list[Event]:
    async with aclosing(client.watch(stream_id)) as events:
        return [event async for event in events]


def of_log(events: list[Event]) -> list[Start | Chunk | Restart | Done]:
    return [event for event in events if isinstance(event, Start | Chunk | Restart | Done)]


async def test_every_event_arrives_as_its_type_with_the_chunk_as_the_provider_sent_it(
    scripted_server: ScriptedServer, client: Client
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_events(writer, log_of(LOG))

    scripted_server.answer = answer
    events: list[Any] = await follow(client)
    ping, start, hel, other_model, unset, restart, second_start, again, end = events
    assert ping == Ping("streaming")
    assert start == Start(Position(1, 1), STREAM_ID, 1, SHARED)
    assert hel == Chunk(Position(1, 2), {**SHARED, **delta("Hel")})
    assert other_model.chunk["model"] == "demo-2"
    assert unset.chunk["$unset"] == 7 and "created" not in unset.chunk and "created" in hel.chunk
    assert restart == Restart(Position(2, 1), 2, "worker_lost")
    assert second_start.epoch == 2
    assert again.chunk["id"] == "chatcmpl-2"
    assert end.status is Status.COMPLETED and end.finish_reason == "stop" and end.timing["total_ms"] == 3


async def test_a_stream_cut_at_any_byte_is_resumed_and_arrives_whole(scripted_server: ScriptedServer) -> None:
    whole = log_of(LOG)
    seen: set[str] = set()

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        cut = int(request.stream_id)
        if request.stream_id not in seen:
            seen.add(request.stream_id)
            write_events(writer, whole[:cut], whole_length=len(whole))
        else:
            write_events(writer, log_of(LOG, request.headers.get("last-event-id")))

    scripted_server.answer = answer
    expected = None
    places = range(0, len(whole), 13)
    async with Client(scripted_server.url) as client:
        for events in await asyncio.gather(*[follow(client, f"{place:022}") for place in places]):
            expected = expected or of_log(events)
            assert of_log(events) == expected and len(expected) == len(LOG)
            assert any(isinstance(event, Reconnecting) for event in events)


async def test_a_clean_end_before_done_is_resumed_and_is_no_failure(
    scripted_server: ScriptedServer, client: Client
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        after = request.headers.get("last-event-id")
        write_events(writer, log_of(LOG[:3]) if after is None else log_of(LOG, after))

    scripted_server.answer = answer
    events = await follow(client)
    assert len(of_log(events)) == len(LOG)
    assert [event for event in events if isinstance(event, Reconnecting)] == [
        Reconnecting("the server ended the response", 0.001, 0)
    ]
    assert [request.headers.get("last-event-id") for request in scripted_server.requests] == [None, "1-3"]


async def test_a_silent_connection_is_replaced_and_resumed(scripted_server: ScriptedServer, client: Client) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(scripted_server.requests) == 1:
            write_events(writer, log_of(LOG[:2]))
            await asyncio.Event().wait()
        write_events(writer, log_of(LOG, request.headers["last-event-id"]))

    scripted_server.answer = answer
    events = await follow(client)
    assert len(of_log(events)) == len(LOG)
    reasons = [event.reason for event in events if isinstance(event, Reconnecting)]
    assert "the server sent nothing for too long" in reasons


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
async def test_a_load_balancers_error_during_a_change_is_waited_out(
    scripted_server: ScriptedServer, client: Client, status: int
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(scripted_server.requests) <= 2:
            write_head(writer, status, "text/html")
        else:
            write_events(writer, log_of(LOG))

    scripted_server.answer = answer
    events = await follow(client)
    assert len(of_log(events)) == len(LOG)
    assert [event.attempt for event in events if isinstance(event, Reconnecting)] == [1, 2]


async def test_a_repeated_event_is_given_once(scripted_server: ScriptedServer, client: Client) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_events(writer, log_of(LOG[:4]) if len(scripted_server.requests) == 1 else log_of(LOG))

    scripted_server.answer = answer
    assert len(of_log(await follow(client))) == len(LOG)


async def test_after_a_gap_the_stream_is_read_from_its_start_despite_a_cut(
    scripted_server: ScriptedServer, client: Client
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        match len(scripted_server.requests):
            case 1:
                write_events(writer, log_of(LOG[:4]))
            case 2:
                write_events(writer, b"retry: 1\n\n" + frame("gap", {"asked": "1-4", "last": "1-2"}))
            case _:
                assert "last-event-id" not in request.headers
                write_events(writer, log_of([*LOG[:2], ("1-3", "done", done())]))

    scripted_server.answer = answer
    events = await follow(client)
    place = events.index(Gap("1-4", "1-2"))
    assert len(of_log(events[:place])) == 4
    assert [str(event.position) for event in of_log(events[place:])] == ["1-1", "1-2", "1-3"]


async def test_unknown_events_are_skipped_and_viewer_counts_are_given(
    scripted_server: ScriptedServer, client: Client
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        unknown = frame("weather", [1]) + frame("viewers", {"viewers": 3})
        write_events(writer, unknown + log_of(LOG))

    scripted_server.answer = answer
    events = await follow(client)
    assert events[0] == Viewers(3) and len(of_log(events)) == len(LOG)


async def test_204_ends_the_watch_without_an_event(scripted_server: ScriptedServer, client: Client) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    scripted_server.answer = answer
    assert await follow(client) == []
    assert len(scripted_server.requests) == 1


async def test_a_stream_that_is_not_there_is_an_error_of_its_own(
    scripted_server: ScriptedServer, client: Client
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_refusal(writer, 404, "stream_not_found", "There is no such stream")

    scripted_server.answer = answer
    with pytest.raises(StreamNotFoundError, match=STREAM_ID):
        await follow(client)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refusal_carries_the_words_of_the_server_and_is_not_repeated(
    scripted_server: ScriptedServer, client: Client, status: int
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_refusal(writer, status, "no_entry", "You may not")

    scripted_server.answer = answer
    with pytest.raises(RefusedError, match="You may not") as caught:
        await follow(client)
    assert (caught.value.status, caught.value.code, len(scripted_server.requests)) == (status, "no_entry", 1)


async def test_a_response_that_is_no_event_stream_is_named(scripted_server: ScriptedServer, client: Client) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_head(writer, 200, "text/html")
        writer.write(b"<p>hello")

    scripted_server.answer = answer
    with pytest.raises(NotManycastError, match="text/html"):
        await follow(client)


@pytest.mark.parametrize(
    "body",
    [
        frame("chunk", delta("no start before"), "1-1"),
        frame("chunk", delta("no position")),
        b"event: ping\ndata: {\n\n",
        b"event: ping\ndata: []\n\n",
        b"id: x\nevent: ping\ndata: {}\n\n",
        frame("done", {"status": "eaten"}, "1-1"),
    ],
)
async def test_a_server_that_breaks_the_protocol_is_told_apart_from_a_broken_line(
    scripted_server: ScriptedServer, client: Client, body: bytes
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_events(writer, body)

    scripted_server.answer = answer
    with pytest.raises(NotManycastError):
        await follow(client)


async def test_a_refused_first_connection_is_reported_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with Client(url) as client:
            with pytest.raises(UnreachableError, match=url):
                await follow(client)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", ""])
async def test_an_address_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(UnreachableError):
        Client(url)


async def test_a_server_that_stays_away_is_given_up_after_the_timeout(
    scripted_server: ScriptedServer,
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(scripted_server.requests) == 1:
            write_events(writer, log_of(LOG[:3]), whole_length=10_000)
        else:
            writer.transport.abort()

    scripted_server.answer = answer
    async with Client(scripted_server.url, patience_s=0.5) as client:
        with pytest.raises(UnreachableError):
            await follow(client)
    assert len(scripted_server.requests) > 2


async def test_every_event_restores_the_timeout(scripted_server: ScriptedServer) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        after = request.headers.get("last-event-id")
        rest = LOG[[position for position, _, _ in LOG].index(after) + 1 :] if after else LOG
        write_events(writer, log_of(rest[:1]), whole_length=10_000)

    scripted_server.answer = answer
    async with Client(scripted_server.url, patience_s=0.3) as client:
        events = await follow(client)
    assert len(of_log(events)) == len(LOG)
    assert {event.attempt for event in events if isinstance(event, Reconnecting)} == {1}


async def test_a_run_is_submitted_and_its_addresses_are_known(scripted_server: ScriptedServer, client: Client) -> None:
    urls = {"page": f"/#{STREAM_ID}", "events": f"/v1/streams/{STREAM_ID}/events"}

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        assert json.loads(request.body) == {"messages": ["\ud83d"]}
        write_json(writer, 201, {"id": STREAM_ID, "status": "queued", "urls": urls})

    scripted_server.answer = answer
    stream = await client.submit({"messages": ["\ud83d"]})
    assert (stream.id, stream.status, stream.page_url) == (STREAM_ID, "queued", f"{scripted_server.url}/#{STREAM_ID}")


async def test_a_submit_whose_answer_was_lost_is_repeated_with_the_same_key(
    scripted_server: ScriptedServer, client: Client
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(scripted_server.requests) == 1:
            writer.transport.abort()
        else:
            write_json(writer, 200, {"id": STREAM_ID, "status": "queued", "urls": {"page": "/"}})

    scripted_server.answer = answer
    assert (await client.submit({})).id == STREAM_ID
    first, second = [request.headers["idempotency-key"] for request in scripted_server.requests]
    assert first == second


@pytest.mark.parametrize("code", ["gateway_stopping", "broker_unavailable"])
async def test_a_gateway_that_cannot_take_a_run_just_now_is_asked_again(
    scripted_server: ScriptedServer, client: Client, code: str
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(scripted_server.requests) == 1:
            write_refusal(writer, 503, code, "Not now", Retry_After="0")
        else:
            write_json(writer, 201, {"id": STREAM_ID, "status": "queued", "urls": {"page": "/"}})

    scripted_server.answer = answer
    assert (await client.submit({})).id == STREAM_ID


async def test_a_submit_is_given_up_after_three_attempts_with_the_last_reason(
    scripted_server: ScriptedServer, client: Client
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_refusal(writer, 503, "broker_unavailable", "Redis is away", Retry_After="0")

    scripted_server.answer = answer
    with pytest.raises(ConnectionLostError, match="Redis is away"):
        await client.submit({})
    assert len(scripted_server.requests) == 3


async def test_a_full_queue_is_told_in_the_servers_words_with_its_retry_time(
    scripted_server: ScriptedServer, client: Client
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_refusal(writer, 503, "queue_full", "Too many runs wait", Retry_After="7")

    scripted_server.answer = answer
    with pytest.raises(RefusedError, match="Too many runs wait") as caught:
        await client.submit({})
    assert caught.value.retry_after_s == 7


async def test_watch_takes_the_address_of_a_page(scripted_server: ScriptedServer) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_events(writer, log_of(LOG))

    scripted_server.answer = answer
    async with aclosing(watch(f"{scripted_server.url}/#{STREAM_ID}")) as events:
        assert len(of_log([event async for event in events])) == len(LOG)
    assert scripted_server.requests[0].stream_id == STREAM_ID


async def test_a_ticket_is_sent_with_each_connection_instead_of_the_key(
    scripted_server: ScriptedServer,
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        after = request.headers.get("last-event-id")
        write_events(writer, log_of(LOG[:3]) if after is None else log_of(LOG, after))

    scripted_server.answer = answer
    async with Client(scripted_server.url, api_key="mc-key") as client:
        async with aclosing(client.watch(STREAM_ID, ticket="eyJ.x.y")) as events:
            assert len(of_log([event async for event in events])) == len(LOG)
        await follow(client)
    sent = [request.headers.get("authorization") for request in scripted_server.requests]
    assert sent == ["Bearer eyJ.x.y", "Bearer eyJ.x.y", "Bearer mc-key", "Bearer mc-key"]


@pytest.mark.parametrize("form", ["{url}/watch#{id}.eyJ.x.y", "{url}/v1/streams/{id}/events?ticket=eyJ.x.y"])
async def test_watch_sends_the_ticket_of_an_address_as_a_header(scripted_server: ScriptedServer, form: str) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_events(writer, log_of(LOG))

    scripted_server.answer = answer
    async with aclosing(watch(form.format(url=scripted_server.url, id=STREAM_ID))) as events:
        assert len(of_log([event async for event in events])) == len(LOG)
    (request,) = scripted_server.requests
    assert (request.headers["authorization"], "ticket" in request.path) == ("Bearer eyJ.x.y", False)


async def test_a_private_run_is_submitted_and_answered_with_its_tickets(
    scripted_server: ScriptedServer, client: Client
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        assert json.loads(request.body)["manycast"] == {"on_worker_lost": "fail", "visibility": "private"}
        write_json(writer, 201, {"id": "p", "status": "queued", "urls": {"page": "/"}, "tickets": {"control": "eyJ"}})

    scripted_server.answer = answer
    stream = await client.submit({"manycast": {"on_worker_lost": "fail"}}, private=True)
    assert stream.tickets == {"control": "eyJ"}
