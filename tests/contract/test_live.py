"""What is published: it joins the log without a hole, and whatever else comes on the channel does no harm."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract.connection import call_redis
from contract.event import Status
from contract.job_queue import Lease
from contract.live import LiveEvents, Notice, parse_live
from contract.position import MalformedPositionError, Position
from contract.stream_log import Batch, Ending
from tests.contract.store import ChannelReader, Store, chunk_lines, done_line
from tests.redis_keys import CONTROL, stream_keys

NUMBERS = st.integers(0, 10**6)
POSITIONS = st.builds(lambda epoch, seq: b"%d-%d" % (epoch, seq), NUMBERS, NUMBERS)
KINDS = st.sampled_from([b"start", b"chunk", b"restart", b"done", b"later"])
DATA = st.binary(max_size=20).filter(lambda data: b"\n" not in data)
ENTRIES = st.lists(st.tuples(POSITIONS, KINDS, DATA), min_size=1, max_size=5)


@given(POSITIONS, ENTRIES)
def test_a_batch_is_read_as_it_was_published(before: bytes, entries: list[tuple[bytes, bytes, bytes]]) -> None:
    payload = b"\n".join([before, *(b" ".join(entry) for entry in entries)])
    assert parse_live(payload) == LiveEvents(before, entries)


@given(st.sampled_from([b"ping", b"viewers", b"later"]), DATA)
def test_a_notice_is_read_as_it_was_published(kind: bytes, data: bytes) -> None:
    assert parse_live(b"!\n" + kind + b" " + data) == Notice(kind, data)


@given(st.binary(max_size=40) | st.text(alphabet="0123456789-! \nchunk{}", max_size=40).map(str.encode))
@example(b"garbage\n1-1 chunk {}")
@example(b"1-1\ngarbage chunk {}")
@example(b"1-1\n1-2 chunk {}\n")
@example(b"\n1-1 chunk {}")
@example(b"1-1\n01-2 chunk {}")
@example(b"1-1\n\xd9\xa1-1 chunk {}")
def test_any_message_is_understood_or_ignored(payload: bytes) -> None:
    live = parse_live(payload)
    if isinstance(live, LiveEvents):
        assert live.entries
        for text in (live.before, *(entry[0] for entry in live.entries)):
            # Whoever merges them parses positions, and must not fall over one.
            Position.parse(text.decode())


@pytest.mark.parametrize("payload", [b"", b"1-1", b"!", b"!!\nping {}", b"1-1\n", b"1-1\n1-2", b"!\nviewers {}\nx"])
def test_an_unknown_message_is_ignored(payload: bytes) -> None:
    assert parse_live(payload) is None


def test_an_impossible_position_is_refused() -> None:
    with pytest.raises(MalformedPositionError):
        Position.parse("garbage")


async def test_every_batch_names_the_position_before_it(store: Store) -> None:
    job, claim = await store.start("w1")
    stream_id = job.stream_id
    async with ChannelReader.on(store.url, stream_keys(stream_id).live) as reader:
        await store.write(Batch(stream_id, claim.epoch, 1, chunk_lines("a", "b")))
        await store.write(Batch(stream_id, claim.epoch, 2, chunk_lines("b", "c")))
        again = await store.hand_over(job, "w2")
        ending = Ending(Status.COMPLETED, job.entry)
        await store.write(Batch(stream_id, again.epoch, 2, [*chunk_lines("d"), done_line()], ending))
        assert [payload.split(b"\n") for payload in await reader.received()] == [
            [b"0-0", b'1-1 chunk {"text":"a"}', b'1-2 chunk {"text":"b"}'],
            [b"1-2", b'1-3 chunk {"text":"c"}'],
            [b"1-3", b'2-1 restart {"epoch":2,"reason":"worker_lost"}'],
            [b"!", b'ping {"state":"waiting","lease_ms":0}'],
            [b"2-1", b'2-2 chunk {"text":"d"}', b'2-3 done {"status":"completed"}'],
        ]


async def test_a_repeated_batch_and_a_refused_one_are_not_published(store: Store) -> None:
    job, claim = await store.start("w1")
    batch = Batch(job.stream_id, claim.epoch, 1, chunk_lines("a"))
    await store.write(batch)
    async with ChannelReader.on(store.url, stream_keys(job.stream_id).live) as reader:
        await store.write(batch)
        await store.write(Batch(job.stream_id, claim.epoch, 5, chunk_lines("hole")))
        await store.write(Batch(job.stream_id, claim.epoch + 1, 1, chunk_lines("nobody's")))
        await store.queue.cancel(job.stream_id)
        await store.write(Batch(job.stream_id, claim.epoch, 2, chunk_lines("cancelled")))
        assert await reader.received() == []


async def test_viewers_are_told_what_a_run_waits_for(store: Store) -> None:
    stream_id = await store.submit()
    async with ChannelReader.on(store.url, stream_keys(stream_id).live) as reader:
        (job,) = await store.take("w1")
        claim = await store.claim(job, "w1")
        await store.queue.release("w1", [Lease(job, claim.epoch)])
        states = [b'!\nping {"state":"waiting","lease_ms":0}', b'!\nping {"state":"queued"}']
        assert await reader.received() == states
        assert [type(parse_live(payload)) for payload in states] == [Notice] * 2


async def test_doorbells_ring_for_a_cancel_and_for_a_job_given_back(store: Store) -> None:
    first, first_claim = await store.start("w1")
    second, _ = await store.start("w1")
    async with ChannelReader.on(store.url, CONTROL) as reader:
        await store.queue.release("w1", [Lease(first, first_claim.epoch)])
        await store.queue.cancel(second.stream_id)
        assert await reader.received() == [b"released 00", b"cancel " + second.stream_id.encode()]


async def test_the_end_of_a_run_that_waited_is_published(store: Store) -> None:
    stream_id = await store.submit()
    async with ChannelReader.on(store.url, stream_keys(stream_id).live) as reader:
        await store.queue.cancel(stream_id)
        (payload,) = await reader.received()
    live = parse_live(payload)
    assert isinstance(live, LiveEvents)
    assert (live.before, live.entries[0][:2]) == (b"0-0", (b"1-1", b"done"))
    assert await call_redis(store.client, "EXISTS", stream_keys(stream_id).log) == 1
