"""A feed encodes what its merge returns, keeps it, and follows the state of its run."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.event import Event, Kind
from contract.live import LiveEvents
from contract.position import Position
from gateway.dialects.native import NativeDialect
from gateway.fanout.feed import Feed, FeedStatus
from gateway.fanout.merge import LogHoleError


def new_feed() -> Feed:
    return Feed("x" * 22, NativeDialect(), limit_bytes=1 << 20)


def event(epoch: int, seq: int, kind: Kind = Kind.CHUNK) -> Event:
    return Event(Position(epoch, seq), kind, b"{}")


def encode(events: list[Event]) -> bytes:
    dialect = NativeDialect()
    return b"".join(dialect.write_event(str(e.position).encode(), e.kind.encode(), e.data) for e in events)


def take_all(feed: Feed) -> bytes:
    body, index = b"", 0
    while piece := feed.buffer.take(index):
        body, index = body + piece.body, piece.end
    return body


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 20)), min_size=1, max_size=6))
async def test_each_position_of_the_log_has_an_index(epochs: list[tuple[int, int]]) -> None:
    log, epoch = [], 0
    for step, count in epochs:
        epoch += step
        log += [event(epoch, seq) for seq in range(1, count + 1)]
    feed = new_feed()
    feed.merge.request_read()
    feed.receive_page(log, is_end=True)
    assert feed.ready.done()
    assert take_all(feed) == encode(log)
    for index, one in enumerate(log):
        assert feed.buffer.index_after(one.position) == index + 1
        assert feed.buffer.position_before(index + 1) == one.position


async def test_a_feed_is_ready_only_after_history_and_live_events_have_joined() -> None:
    feed = new_feed()
    feed.merge.request_read()
    feed.receive_page([event(1, 1)], is_end=False)
    assert not feed.ready.done()
    # Published during the read, and further than the read came.
    feed.receive_batch(LiveEvents(b"1-2", [(b"1-3", b"chunk", b"{}")]))
    feed.receive_page([], is_end=True)
    assert not feed.ready.done()
    feed.receive_page([event(1, 2)], is_end=True)
    assert feed.ready.done()
    assert feed.buffer.last == Position(1, 3)


async def test_the_status_follows_the_run_to_its_end() -> None:
    feed = new_feed()
    seen = []
    for at, kind in enumerate([Kind.START, Kind.CHUNK, Kind.DONE], 1):
        feed.receive_batch(LiveEvents(b"%d-%d" % (at > 1, at - 1), [(b"1-%d" % at, kind.encode(), b"{}")]))
        seen.append(feed.status)
    assert seen == [FeedStatus.STREAMING, FeedStatus.STREAMING, FeedStatus.ENDED]
    assert feed.over
    assert not feed.merge.needs_read


@pytest.mark.parametrize("state", ["ended", "lost", "broken_off", "full", "nonsense"])
async def test_a_notice_sets_no_state_but_those_of_a_run(state: str) -> None:
    feed = new_feed()
    feed.set_run_state(state)
    assert feed.status is FeedStatus.QUEUED


async def test_a_lost_feed_stays_lost() -> None:
    feed = new_feed()
    feed.lose()
    feed.set_run_state("streaming")
    feed.receive_batch(LiveEvents(b"0-0", [(b"1-1", b"done", b"{}")]))
    assert feed.status is FeedStatus.LOST
    assert feed.buffer.end == 0
    assert feed.ready.done()


async def test_the_log_of_an_ended_feed_can_be_lost() -> None:
    feed = new_feed()
    feed.receive_batch(LiveEvents(b"0-0", [(b"1-1", b"done", b"{}")]))
    feed.lose()
    assert feed.status is FeedStatus.LOST


async def test_a_hole_in_the_log_raises_and_is_not_bridged() -> None:
    feed = new_feed()
    feed.merge.request_read()
    with pytest.raises(LogHoleError):
        feed.receive_page([event(1, 1), event(1, 3)], is_end=True)
    assert take_all(feed) == encode([event(1, 1)])
    assert not feed.ready.done()


async def test_a_script_that_asks_while_a_step_goes_on_is_parked_when_it_is_parked() -> None:
    """The notice must change something: a viewer has gone back to streaming with the step."""
    feed = new_feed()
    feed.merge.request_read()
    asked = Event(Position(1, 2), Kind.INPUT, b'{"id":"1","state":"asked"}')
    feed.receive_page([event(1, 1, Kind.START), asked], is_end=True)
    states = [feed.status]
    feed.receive_batch(LiveEvents(b"1-2", [(b"1-3", b"step", b'{"id":"2","state":"chunk"}')]))
    states.append(feed.status)
    feed.set_run_state("parked")
    states.append(feed.status)
    assert states == [FeedStatus.PARKED, FeedStatus.STREAMING, FeedStatus.PARKED]
