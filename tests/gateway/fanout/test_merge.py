"""History and live become one: every order in which they can reach a gateway, tried one by one.

The gateway's side is the feed with the steps of the hub around it; Redis is a list and a pipe, so that a test decides
what is written, published, read and delivered when. test_feed.py draws orders of longer runs by chance.
"""

import asyncio
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
from gateway.dialects.native import NativeDialect
from gateway.fanout.feed import Feed

Batch = list[Event]
Choose = Callable[[list[str]], str]
"""What happens next, out of what may happen."""

ROOMY_BYTES = 1 << 20
PAGE_EVENTS = 2


def event(text: str) -> Event:
    """`1-2 chunk` as an event, with its position for its data."""
    at, _, kind = text.partition(" ")
    return Event(Position.parse(at), Kind(kind), b'"%b"' % at.encode())


def batches(*texts: str) -> list[Batch]:
    """One batch a text: events with commas between."""
    return [[event(part.strip()) for part in text.split(",")] for text in texts]


def encoded(events: list[Event]) -> bytes:
    dialect = NativeDialect()
    return b"".join(dialect.write_event(str(one.position).encode(), one.kind.encode(), one.data) for one in events)


def taken(feed: Feed) -> bytes:
    """Everything that a viewer of this feed gets who came first."""
    whole, index = [], 0
    while piece := feed.buffer.take(index):
        whole.append(piece.body)
        index = piece.end
    return b"".join(whole)


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
class Reader:
    """The hub's steps around one feed, each by itself, so that others can come between."""

    broker: Broker
    feed: Feed
    is_reading: bool = False
    page: list[Event] | None = None

    def deliver(self) -> None:
        payload = self.broker.pipe.pop(0)
        live = None if payload is None else parse_live(payload)
        if payload is None or (isinstance(live, LiveEvents) and self.feed.offer(live)):
            self.read()

    def read(self) -> None:
        self.is_reading = self.feed.begin_read() or self.is_reading

    def fetch(self) -> None:
        last = self.feed.buffer.last
        self.page = [one for one in self.broker.log if one.position > last][:PAGE_EVENTS]

    def absorb(self) -> None:
        assert self.page is not None
        page, self.page = self.page, None
        self.feed.absorb(page)
        if len(page) < PAGE_EVENTS:
            self.is_reading = self.feed.end_read() and self.feed.begin_read()


def run_once(to_write: list[Batch], choose: Choose, cuts: int) -> None:
    """One interleaving, until nothing is left to happen. What is on the tape is checked after each step."""
    broker = Broker(list(to_write))
    reader = Reader(broker, Feed("s", NativeDialect(), ROOMY_BYTES))
    steps: dict[str, Callable[[], None]] = {
        "write": broker.write,
        "subscribe": broker.subscribe,
        "deliver": reader.deliver,
        "fetch": reader.fetch,
        "absorb": reader.absorb,
        "cut": broker.cut,
    }
    while possible := [
        name
        for name, is_possible in (
            ("write", bool(broker.to_write)),
            ("subscribe", not broker.is_subscribed),
            ("deliver", bool(broker.pipe)),
            ("fetch", reader.is_reading and reader.page is None),
            ("absorb", reader.page is not None),
            ("cut", broker.is_subscribed and cuts > 0),
        )
        if is_possible
    ]:
        step = choose(possible)
        cuts -= step == "cut"
        steps[step]()
        if step in ("deliver", "absorb"):
            assert encoded(broker.log).startswith(taken(reader.feed))
    assert taken(reader.feed) == encoded(broker.log)
    assert reader.feed.ended
    assert reader.feed.ready.done()


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
async def test_in_every_order_the_tape_becomes_the_log(to_write: list[Batch], cuts: int) -> None:
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
def test_in_any_order_of_a_longer_run_with_cuts_the_tape_becomes_the_log(
    to_write: list[Batch], random: Random, cuts: int
) -> None:
    async def once() -> None:
        run_once(to_write, random.choice, cuts)

    asyncio.run(once())


async def test_what_is_published_twice_or_overlaps_is_taken_once() -> None:
    feed = Feed("s", NativeDialect(), ROOMY_BYTES)
    for payload in (
        b"0-0\n1-1 start {}\n1-2 chunk {}",
        b"0-0\n1-1 start {}\n1-2 chunk {}",
        b"1-1\n1-2 chunk {}\n1-3 chunk {}",
        b"0-0\n1-1 start {}",
    ):
        live = parse_live(payload)
        assert isinstance(live, LiveEvents)
        assert not feed.offer(live)
    assert [line for line in taken(feed).split(b"\n") if line.startswith(b"id: ")] == [
        b"id: 1-1",
        b"id: 1-2",
        b"id: 1-3",
    ]


async def test_what_no_log_can_join_is_dropped_after_one_read_and_holds_nothing_up() -> None:
    feed = Feed("s", NativeDialect(), ROOMY_BYTES)
    for payload in (b"9-8\n9-9 chunk {}", b"0-0\n1-1 start {}"):
        live = parse_live(payload)
        assert isinstance(live, LiveEvents)
        if feed.offer(live):
            assert feed.begin_read()
    feed.absorb([])
    assert not feed.end_read()
    assert feed.buffer.last == Position(1, 1)
    assert not feed.offer(LiveEvents(b"1-1", [(b"1-2", b"chunk", b"{}")]))
    assert feed.buffer.last == Position(1, 2)
