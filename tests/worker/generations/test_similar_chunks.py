"""Chunks that differ only in their text are not parsed. The log says the same as if they were."""

import asyncio
import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.connection import command_client
from contract.errors import RunFailedError
from contract.event import LINE_SEPARATORS, Chunk, merge_chunk
from contract.stream_log import StreamLog, WriteResult, WriteStatus
from worker.generations.outbox import Outbox
from worker.generations.provider_call import ProviderCall
from worker.generations.publisher import Publisher
from worker.model_timeouts import ModelTimeouts
from worker.providers.answer_decoder import Decoded, StreamDecoder
from worker.providers.chunk_pattern import MAX_TRIES, PatternFinder, SimilarChunk
from worker.providers.source import Answer

DEADLINE_S = 60.0
HEAD: Chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
texts = st.text(max_size=6) | st.sampled_from(
    ['"', "\\", '","content":"', "%b", "\u2028", "\x85", "\ud83d", "é", "\x00", "🙂"]
)


def chunk(delta: dict[str, Any], index: int = 0, reason: str | None = None, **fields: Any) -> Chunk:
    return {**HEAD, "choices": [{"index": index, "delta": delta, "finish_reason": reason}], **fields}


deltas = (
    st.builds(lambda text: {"content": text}, texts)
    | st.builds(lambda text: {"reasoning_content": text}, texts)
    | st.builds(lambda text: {"content": text, "reasoning": text}, texts)
    | st.builds(lambda text: {"tool_calls": [{"index": 0, "id": "c", "function": {"arguments": text}}]}, texts)
)
chunks = st.builds(
    chunk,
    deltas,
    index=st.integers(0, 1) | st.just(0),
    reason=st.none() | st.none() | st.just("stop"),
    usage=st.none() | st.none() | st.just({"total_tokens": 3}),
    obfuscation=texts,
) | st.builds(lambda text: {**HEAD, "citations": [text], "choices": []}, texts)


def spaced(value: Chunk) -> bytes:
    return json.dumps(value).encode()


def compact(value: Chunk) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def unescaped(value: Chunk) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="replace")


Encode = Callable[[Chunk], bytes]


def frames(values: Iterable[Chunk], encode: Encode) -> bytes:
    return b"".join(b"data: " + encode(one) + b"\n\n" for one in values)


def whole(items: Iterable[Decoded]) -> list[Chunk | None]:
    return [item.whole() if isinstance(item, SimilarChunk) else item for item in items]


class Pieces:
    """A source that decodes the given pieces. Each comes while the source waits for it, as on a quiet connection."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.taken = 0
        """How many pieces were taken directly."""

    async def generate(self, _: dict[str, Any]) -> Answer:
        decoder = StreamDecoder()
        for piece in self._pieces:
            if decoder.take(piece):
                self.taken += 1
                continue
            for item in decoder.feed(piece):
                yield item


class Items:
    """A source that yields the given items. The rest of a source is not asked for here."""

    def __init__(self, items: Iterable[Decoded]) -> None:
        self._items = items

    async def generate(self, _: dict[str, Any]) -> Answer:
        for item in self._items:
            yield item


async def lines_of(items: Iterable[Decoded]) -> tuple[list[bytes], ProviderCall]:
    return await written_by(Items(items))


async def written_by(source: Any, unsent_limit_bytes: int = 1 << 20) -> tuple[list[bytes], ProviderCall]:
    """The lines that a run of the source puts into its outbox. Redis is away."""
    client = command_client("redis://127.0.0.1:1/0")
    call = ProviderCall(
        "s",
        Publisher(StreamLog(client, 1000), unsent_limit_bytes),
        0,
        chunk_timeouts=ModelTimeouts(60),
        body_limit_bytes=0,
        needs_finish_reason=False,
    )
    outbox = Outbox("s", epoch=1, next_seq=1, entry="5-0", on_write_status=lambda _: None)
    assert await call.run(source, {}, 1, outbox) is None
    lines: list[bytes] = []
    while (batch := outbox.next_batch()) is not None:
        lines += batch.lines
        outbox.settle(batch, WriteResult(WriteStatus.OK, batch.first_seq + len(batch.lines) - 1))
    await client.aclose()
    return lines, call


def events_of(lines: list[bytes]) -> list[Chunk]:
    """The chunks in a log, as a reader restores them."""
    if not lines:
        return []
    kind, _, start = lines[0].partition(b" ")
    assert kind == b"start"
    shared = json.loads(start)["chunk"]
    return [merge_chunk(shared, json.loads(line.removeprefix(b"chunk "))) for line in lines[1:]]


async def check_log(values: list[Chunk], encode: Encode) -> list[bytes]:
    """The log of chunks as they come equals the log of the same chunks parsed. Returns its lines."""
    items = list(StreamDecoder().feed(frames(values, encode)))
    parsed = [json.loads(encode(one)) for one in values]
    assert whole(items) == parsed
    lines, call = await lines_of(items)
    expected_lines, expected = await lines_of(parsed)
    assert events_of(lines) == events_of(expected_lines)
    assert (call.outcome.finish_reason, call.outcome.usage) == (expected.outcome.finish_reason, expected.outcome.usage)
    assert call.outcome.is_whole == expected.outcome.is_whole
    for line in lines:
        assert not LINE_SEPARATORS.search(line.decode())
    return lines


@given(st.lists(chunks, max_size=12), st.sampled_from([spaced, compact, unescaped]))
async def test_the_log_is_that_of_chunks_that_were_parsed(values: list[Chunk], encode: Encode) -> None:
    await check_log(values, encode)


@given(chunks, st.lists(texts, max_size=8), st.sampled_from([spaced, compact, unescaped]))
async def test_the_log_of_any_texts_is_that_of_parsed_chunks(kind: Chunk, words: list[str], encode: Encode) -> None:
    plain = [chunk({"role": "assistant", "content": "a"}), *(chunk({"content": text}) for text in ("b", "c", "d"))]
    await check_log([*plain, *(chunk({"content": text}) for text in words), kind, *plain[1:]], encode)


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` in pieces: after each frame, and at the given offsets."""
    at = {0, len(data), *(one % (len(data) + 1) for one in cuts)}
    at |= {number + 2 for number in range(len(data)) if data[number : number + 2] == b"\n\n"}
    places = sorted(at)
    return [data[one:other] for one, other in pairwise(places)]


@settings(deadline=None)
@given(st.lists(chunks, max_size=12), st.lists(st.integers(0, 3000), max_size=4), st.sampled_from([spaced, compact]))
async def test_chunks_taken_as_they_arrive_are_logged_as_those_of_the_source(
    values: list[Chunk], cuts: list[int], encode: Encode
) -> None:
    plain = [chunk({"content": text}) for text in "abcde"]
    pieces = cut(frames([*plain, *values, *plain], encode) + b"data: [DONE]\n\n", cuts)
    source = Pieces(pieces)
    lines, call = await written_by(source)
    items = list(StreamDecoder().feed(b"".join(pieces)))
    expected_lines, expected = await lines_of(items)
    assert lines == expected_lines
    assert sum(call.pace.seconds) == sum(expected.pace.seconds)
    assert (call.outcome.finish_reason, call.outcome.usage) == (expected.outcome.finish_reason, expected.outcome.usage)


async def test_a_usual_chunk_does_not_wake_the_source() -> None:
    source = Pieces(cut(frames((chunk({"content": text}) for text in "abcdefgh"), compact), []))
    lines, _ = await written_by(source)
    assert (len(lines), source.taken) == (9, 4)


async def test_several_chunks_in_a_piece_are_taken_at_once() -> None:
    first, rest = (frames((chunk({"content": text}) for text in part), compact) for part in ("abcde", "fghij"))
    source = Pieces([*cut(first, []), rest])
    lines, _ = await written_by(source)
    assert (len(lines), source.taken) == (11, 2)


async def test_nothing_is_taken_while_too_much_waits_for_redis() -> None:
    limit_bytes = 1000
    client = command_client("redis://127.0.0.1:1/0")
    publisher = Publisher(StreamLog(client, 1000), limit_bytes)
    timeouts = ModelTimeouts(60)
    call = ProviderCall("s", publisher, 0, chunk_timeouts=timeouts, body_limit_bytes=0, needs_finish_reason=False)
    outbox = Outbox("s", epoch=1, next_seq=1, entry="5-0", on_write_status=lambda _: None)
    source: Any = Pieces(cut(frames((chunk({"content": str(number)}) for number in range(1000)), compact), []))
    running = asyncio.create_task(call.run(source, {}, 1, outbox))
    done, _ = await asyncio.wait([running, asyncio.create_task(is_full(publisher))], return_when="FIRST_COMPLETED")
    assert running not in done
    longest = 200
    assert limit_bytes < outbox.unsent_bytes < limit_bytes + 2 * longest
    assert source.taken > 0
    running.cancel()
    await asyncio.wait([running])
    await client.aclose()


async def is_full(publisher: Publisher) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not publisher.is_full:
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "odd",
    [b": ping\n\n", b"event: error\n", b"id: 1\n", b"\n", b"data: {}\n", b"data: [DONE]\n\n", b"data: ", b"\r"],
)
async def test_nothing_else_in_a_piece_is_taken(odd: bytes) -> None:
    plain = frames((chunk({"content": text}) for text in "abcde"), compact)
    decoder = StreamDecoder()
    assert len(list(decoder.feed(plain))) == 5
    pattern = decoder.pattern
    assert pattern is not None
    pattern.taker = lambda _: True
    piece = frames([chunk({"content": "f"})], compact)
    assert not decoder.take(odd + piece)
    assert not decoder.take(piece + odd)
    assert decoder.take(piece)


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b"data: {", b": half a comment"])
async def test_a_chunk_is_not_taken_after_the_end_or_in_the_middle_of_a_frame(end: bytes) -> None:
    decoder = StreamDecoder()
    assert list(decoder.feed(frames((chunk({"content": text}) for text in "abcde"), compact)))
    pattern = decoder.pattern
    assert pattern is not None
    pattern.taker = lambda _: True
    list(decoder.feed(end))
    assert not decoder.take(frames([chunk({"content": "f"})], compact))


def test_a_chunk_in_two_lines_is_no_pattern() -> None:
    decoder = StreamDecoder()
    lines = [
        frames([chunk({"content": text})], compact).replace(b',"choices"', b'\ndata: ,"choices"') for text in "abcd"
    ]
    items = list(decoder.feed(b"".join(lines)))
    assert is_similar(items) == [False] * 4


USAGE = {"total_tokens": 1}


@pytest.mark.parametrize(
    "values",
    [
        [{**HEAD, "choices": [{"index": 0, "delta": {"content": text}}]} for text in "abcde"],
        [{**HEAD, "choices": [{"index": 0, "delta": text, "finish_reason": None}]} for text in "abcde"],
        [chunk({name: text}) for name in ("reasoning", "content") for text in "abcd"],
        [chunk({"content": text}, note="100%b %d") for text in "abcde"],
        [
            {**chunk({"content": text}), "choices": [{**chunk({"content": text})["choices"][0], "n": "%b"}]}
            for text in "abcde"
        ],
        [
            *(chunk({"content": text}, usage=USAGE) for text in "abcd"),
            chunk({}, usage={"total_tokens": 2}),
            chunk({"content": "e"}, usage=USAGE),
        ],
        [
            *(chunk({"content": text}) for text in "abcd"),
            {**HEAD, "citations": [1], "choices": []},
            chunk({"content": "e"}),
        ],
        [
            *(chunk({"content": text}, obfuscation=2 * text) for text in "abcd"),
            {**HEAD, "citations": [1], "choices": []},
        ],
    ],
    ids=[
        "no finish_reason",
        "no delta",
        "two patterns",
        "percent",
        "percent in a choice",
        "usage in each",
        "a field held back",
        "a field held back to the end, after padding",
    ],
)
async def test_odd_chunks_that_repeat_are_logged_as_if_parsed(values: list[Chunk]) -> None:
    await check_log(values, compact)


async def test_line_separators_in_a_text_are_escaped() -> None:
    lines = await check_log([chunk({"content": text}) for text in ("a", "b", "c", "d\u2028", "e\x85", "é")], unescaped)
    assert b"\\u2028" in lines[4]


def decoded(*values: Chunk) -> list[Decoded]:
    return list(StreamDecoder().feed(frames(values, spaced)))


def is_similar(items: list[Decoded]) -> list[bool]:
    return [isinstance(item, SimilarChunk) for item in items]


def test_from_the_third_chunk_on_plain_text_is_not_parsed() -> None:
    role = chunk({"role": "assistant", "content": ""})
    assert is_similar(decoded(role, *(chunk({"content": text}) for text in "abc"))) == [False, False, True, True]


def test_a_random_field_beside_the_text_does_no_harm() -> None:
    items = decoded(*(chunk({"content": text}, obfuscation=text * 3) for text in "abcd"))
    assert is_similar(items) == [False, False, True, True]


@pytest.mark.parametrize(
    "other",
    [
        chunk({"content": "x"}, reason="stop"),
        chunk({"content": "x"}, index=1),
        chunk({"content": "x", "role": "assistant"}),
        chunk({"content": None}),
        chunk({"content": "x"}, usage={"total_tokens": 1}),
        chunk({"refusal": "x"}),
    ],
)
def test_any_other_difference_is_parsed(other: Chunk) -> None:
    items = decoded(chunk({"content": "a"}), chunk({"content": "b"}), other)
    assert is_similar(items) == [False, False, False]
    assert items[2] == other


def test_a_field_of_the_same_name_elsewhere_is_not_taken_for_the_text() -> None:
    values = [{"content": "head", **chunk({"content": text})} for text in "abcd"]
    assert whole(decoded(*values)) == values


def test_another_field_of_that_name_inside_a_choice_is_not_taken_for_the_text() -> None:
    choices = [{"index": 0, "extra": {"content": extra}, "delta": {"content": "same"}} for extra in "abcd"]
    values = [{**HEAD, "choices": [choice]} for choice in choices]
    assert whole(decoded(*values)) == values


def test_an_error_event_is_an_error_whatever_it_says() -> None:
    decoder = StreamDecoder()
    assert len(list(decoder.feed(frames((chunk({"content": text}) for text in "abc"), compact)))) == 3
    with pytest.raises(RunFailedError):
        list(decoder.feed(b"event: error\n" + frames([chunk({"content": "d"})], compact)))


def test_bytes_that_are_no_text_are_refused_as_before() -> None:
    good = [b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text for text in (b"a", b"b", b"c")]
    decoder = StreamDecoder()
    assert len(list(decoder.feed(b"".join(good)))) == 3
    with pytest.raises(Exception, match="not JSON"):
        list(decoder.feed(good[0].replace(b'"a"', b'"\xff"')))


def test_a_stream_without_a_pattern_costs_few_comparisons() -> None:
    finder = PatternFinder()
    for number in range(3 * MAX_TRIES):
        value = chunk({"content": "x"}, created=number)
        finder.learn(json.dumps(value).encode(), value)
    before = finder.pattern
    value = chunk({"content": "y"}, created=-1)
    finder.learn(json.dumps(value).encode(), value)
    assert finder.pattern is before
