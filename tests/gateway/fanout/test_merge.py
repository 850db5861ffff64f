"""History and live events become one sequence: every order in which they can reach a gateway, tried one by one.

Redis is a list and a pipe here, so that a test decides when an event is written, published, read and delivered. The
tests drive the merge itself and obey it as the hub does.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.event import Event, Kind
from contract.live import LiveEvents, parse_live
from contract.position import START, Position
from gateway.fanout.merge import EventMerge, LogHoleError, MergedEvent, State

Batch = list[Event]
Choose = Callable[[list[str]], str]
"""What happens next, out of what may happen."""

PAGE_EVENTS = 2


def event(text: str) -> Event:
    """`1-2 chunk` as an event, with its position for its data."""
    at, _, kind = text.partition(" ")
    return Event(Position.parse(at), Kind(kind), b'"%b"' % at.encode())


def batches(*texts: str) -> list[Batch]:
    """One batch a text: events with commas between."""
    return [[event(part.strip()) for part in text.split(",")] for text in texts]


def merged_from(events: list[Event]) -> list[MergedEvent]:
    """The events of a log, as the merge returns them."""
    return [MergedEvent(str(one.position).encode(), one.position, one.kind.encode(), one.data) for one in events]


def batch(payload: bytes) -> LiveEvents:
    live = parse_live(payload)
    assert isinstance(live, LiveEvents)
    return live


@dataclass
class Broker:
    """What is written is published in the same step, to who is subscribed in that moment."""

    to_write: list[Batch]
    log: list[Event] = field(default_factory=list)
    pipe: list[bytes | None] = field(default_factory=list)
    is_subscribed: bool = False

    def write(self) -> None:
        batch = self.to_write.pop(0)
        before = self.log[-1].position if self.log else START
        self.log += batch
        if self.is_subscribed:
            lines = [f"{one.position} {one.kind} ".encode() + one.data for one in batch]
            self.pipe.append(b"\n".join([str(before).encode(), *lines]))

    def subscribe(self) -> None:
        """The confirmation is in the pipe like everything else."""
        self.is_subscribed = True
        self.pipe.append(None)

    def cut(self) -> None:
        """What is in the pipe is lost, and what is published until the next confirmation."""
        self.is_subscribed = False
        self.pipe.clear()


@dataclass
class Gateway:
    """Obeys the merge, one step at a time, so that others can come between two steps."""

    broker: Broker
    merge: EventMerge = field(default_factory=EventMerge)
    merged: list[MergedEvent] = field(default_factory=list)
    page: list[Event] | None = None

    def deliver(self) -> None:
        payload = self.broker.pipe.pop(0)
        live = None if payload is None else parse_live(payload)
        if isinstance(live, LiveEvents):
            self._take(self.merge.receive_batch(live))
        else:
            self.merge.request_read()

    def fetch(self) -> None:
        self.page = [one for one in self.broker.log if one.position > self.merge.last][:PAGE_EVENTS]

    def absorb(self) -> None:
        assert self.page is not None
        page, self.page = self.page, None
        self._take(self.merge.receive_page(page, is_end=len(page) < PAGE_EVENTS))

    def _take(self, events: list[MergedEvent]) -> None:
        self.merged += events
        if events and events[-1].kind == Kind.DONE.encode():
            self.merge.close()


def run_once(to_write: list[Batch], choose: Choose, cuts: int) -> None:
    """One interleaving, until nothing is left to happen. The result is compared with the log after each step."""
    broker = Broker(list(to_write))
    gateway = Gateway(broker)
    steps: dict[str, Callable[[], None]] = {
        "write": broker.write,
        "subscribe": broker.subscribe,
        "deliver": gateway.deliver,
        "fetch": gateway.fetch,
        "absorb": gateway.absorb,
        "cut": broker.cut,
    }
    while possible := [
        name
        for name, is_possible in (
            ("write", bool(broker.to_write)),
            ("subscribe", not broker.is_subscribed),
            ("deliver", bool(broker.pipe)),
            ("fetch", gateway.merge.needs_read and gateway.page is None),
            ("absorb", gateway.page is not None),
            ("cut", broker.is_subscribed and cuts > 0),
        )
        if is_possible
    ]:
        step = choose(possible)
        cuts -= step == "cut"
        steps[step]()
        assert gateway.merged == merged_from(broker.log)[: len(gateway.merged)], "lost, twice or out of order"
    assert gateway.merged == merged_from(broker.log)
    assert gateway.merge.state is State.CLOSED


def every_order(longest: int) -> Iterator[Choose]:
    """Each way of choosing once: the last choice that has another option left is changed, those after it are open."""
    path: list[int] = []
    widths: list[int] = []
    for _ in range(longest):
        del widths[:]

        def choose(possible: list[str]) -> str:
            place = len(widths)
            if place == len(path):
                path.append(0)
            widths.append(len(possible))
            return possible[path[place]]

        yield choose
        while path and path[-1] + 1 >= widths[len(path) - 1]:
            path.pop()
        if not path:
            return
        path[-1] += 1
    raise AssertionError("there are more orders than were meant")


SHORT = batches("1-1 start, 1-2 chunk", "1-3 chunk", "1-4 done")
TAKEN_OVER = batches("1-1 start, 1-2 chunk", "2-1 restart", "2-2 start, 2-3 chunk, 2-4 done")
NEVER_BEGUN = batches("1-1 done")
SKIPPED_EPOCH = batches("1-1 start", "3-1 restart, 3-2 done")


@pytest.mark.parametrize(
    ("to_write", "cuts"),
    [(SHORT, 0), (TAKEN_OVER, 0), (NEVER_BEGUN, 2), (SKIPPED_EPOCH, 1)],
    ids=["a run", "a run taken over", "a run that never began, two cuts", "an epoch without events, one cut"],
)
def test_every_order_of_a_short_run_gives_the_log(to_write: list[Batch], cuts: int) -> None:
    count = 0
    for choose in every_order(200_000):
        run_once(to_write, choose, cuts)
        count += 1
    assert count > 10


@st.composite
def runs(draw: st.DrawFn) -> list[Batch]:
    """Any run: some epochs, some of them without events; a `done` at the end; cut into batches anywhere."""
    events: list[Event] = []
    for epoch in draw(st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True).map(sorted)):
        first = ["restart"] if events else []
        kinds = [*first, *["chunk"] * draw(st.integers(0 if first else 1, 12))]
        events += [event(f"{epoch}-{seq} {kind}") for seq, kind in enumerate(kinds, 1)]
    last = events[-1].position
    events.append(event(f"{last.epoch}-{last.seq + 1} done"))
    # A batch holds events of one epoch: each is written by one worker under one lease.
    borders = {place for place in range(1, len(events)) if events[place].position.seq == 1}
    borders |= draw(st.sets(st.integers(1, max(1, len(events) - 1)), max_size=8))
    edges = [0, *sorted(border for border in borders if border < len(events)), len(events)]
    return [events[start:end] for start, end in itertools.pairwise(edges)]


@settings(max_examples=300, deadline=None)
@given(runs(), st.randoms(use_true_random=False), st.integers(0, 4))
def test_a_random_order_of_a_longer_run_with_cuts_gives_the_log(
    to_write: list[Batch], random: Random, cuts: int
) -> None:
    run_once(to_write, random.choice, cuts)


def test_a_batch_that_comes_twice_or_overlaps_is_merged_once() -> None:
    merge, merged = EventMerge(), []
    for payload in (
        b"0-0\n1-1 start {}\n1-2 chunk {}",
        b"0-0\n1-1 start {}\n1-2 chunk {}",
        b"1-1\n1-2 chunk {}\n1-3 chunk {}",
        b"0-0\n1-1 start {}",
    ):
        merged += merge.receive_batch(batch(payload))
        assert not merge.needs_read
    assert [one.text for one in merged] == [b"1-1", b"1-2", b"1-3"]


def test_a_batch_that_the_log_never_joins_is_dropped_after_one_read() -> None:
    merge = EventMerge()
    assert merge.receive_batch(batch(b"9-8\n9-9 chunk {}")) == []
    assert merge.receive_batch(batch(b"0-0\n1-1 start {}")) == []
    assert merge.needs_read
    merge.receive_page([], is_end=True)
    assert not merge.needs_read
    assert merge.last == Position(1, 1)
    merge.receive_batch(batch(b"1-1\n1-2 chunk {}"))
    assert merge.last == Position(1, 2)


def test_a_later_epoch_that_begins_before_the_last_event_asks_for_the_log() -> None:
    """A failover of Redis has lost 1-3."""
    merge = EventMerge()
    merge.receive_batch(batch(b"0-0\n1-1 start {}\n1-2 chunk {}\n1-3 chunk {}"))
    assert merge.receive_batch(batch(b"1-2\n2-1 step {}")) == []
    assert merge.needs_read


def test_a_batch_that_does_not_join_asks_for_the_log() -> None:
    merge = EventMerge()
    merge.receive_batch(batch(b"0-0\n1-1 chunk {}"))
    # `1-2` was lost with its worker: positions alone do not show it.
    assert merge.receive_batch(batch(b'1-2\n2-1 restart {"epoch":2}')) == []
    assert merge.needs_read


def test_a_read_requested_during_a_read_leads_to_another_read() -> None:
    merge = EventMerge()
    merge.request_read()
    merge.request_read()
    merge.receive_page([], is_end=True)
    assert merge.needs_read
    merge.receive_page([], is_end=True)
    assert merge.state is State.LIVE


def test_events_before_a_hole_in_the_log_are_returned_and_the_hole_is_reported() -> None:
    merge = EventMerge()
    merge.request_read()
    merge.check_hole()
    events = merge.receive_page([event("1-1 chunk"), event("1-3 chunk")], is_end=True)
    assert [one.text for one in events] == [b"1-1"]
    with pytest.raises(LogHoleError, match="between 1-1 and 1-3"):
        merge.check_hole()


def test_an_epoch_that_does_not_begin_at_one_is_a_hole() -> None:
    merge = EventMerge()
    merge.request_read()
    assert len(merge.receive_page([event("1-1 chunk"), event("2-2 chunk")], is_end=True)) == 1
    with pytest.raises(LogHoleError, match="between 1-1 and 2-2"):
        merge.check_hole()


def test_a_batch_published_during_a_read_is_not_dropped_with_an_older_one() -> None:
    merge = EventMerge()
    merge.receive_batch(batch(b"9-8\n9-9 chunk {}"))
    assert merge.needs_read
    merge.receive_batch(batch(b"1-1\n1-2 chunk {}"))
    assert merge.receive_page([], is_end=True) == []
    assert merge.needs_read, "1-1 is still missing"
    assert [one.text for one in merge.receive_page([event("1-1 chunk")], is_end=True)] == [b"1-1", b"1-2"]
    assert not merge.needs_read


def test_a_closed_merge_takes_nothing_and_asks_for_nothing() -> None:
    merge = EventMerge()
    merge.close()
    merge.request_read()
    assert merge.receive_batch(batch(b"0-0\n1-1 start {}")) == []
    assert merge.receive_page([event("1-1 start")], is_end=True) == []
    assert not merge.needs_read
