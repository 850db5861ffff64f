"""Viewers that stand abreast: one cursor for all of them, until one of them is slow, is told something, or is gone."""

from contract.position import Position
from gateway.fanout.replay_buffer import ReplayBuffer
from gateway.fanout.shared_cursor import ROW_LIMIT_VIEWERS, SharedCursor
from gateway.fanout.subscribers import Subscribers


class Source:
    """A feed, as far as a row looks at it."""

    def __init__(self, limit_bytes: int = 1 << 20) -> None:
        self.buffer = ReplayBuffer(limit_bytes)
        self.over = False
        self.written = b""

    def write(self, *texts: str) -> None:
        for text in texts:
            self.buffer.append(Position(1, self.buffer.end + 1), text.encode())
            self.written += text.encode()


class Connection:
    """A viewer's: takes what is written, and is full where it is told to be."""

    def __init__(self) -> None:
        self.cursor: SharedCursor | None = None
        self.taken = b""
        self.full_after: int | None = None
        self.fell_out_at: int | None = None

    def join(self, cursor: SharedCursor) -> None:
        self.cursor = cursor
        cursor.join(self, self.write)

    def write(self, framed: bytes) -> None:
        self.taken += framed
        if self.full_after is not None and len(self.taken) >= self.full_after:
            self.leave()

    def leave_cursor(self) -> None:
        self.leave()

    def leave(self) -> None:
        assert self.cursor is not None
        self.cursor.leave(self)
        self.fell_out_at = self.cursor.index


def standing(source: Source, count: int, index: int = 0) -> tuple[SharedCursor, list[Connection]]:
    cursor, members = SharedCursor(source, index), [Connection() for _ in range(count)]
    for member in members:
        member.join(cursor)
    return cursor, members


def framed(*texts: str) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(text), text.encode()) for text in texts)


def test_all_are_given_what_comes_once_and_in_order() -> None:
    source = Source()
    cursor, members = standing(source, 3)
    source.write("a")
    cursor.wake()
    cursor.wake()
    source.write("b", "c")
    cursor.wake()
    assert {member.taken for member in members} == {framed("a", "bc")}
    assert cursor.index == 3


def test_one_that_is_full_knows_where_it_stands_and_the_others_go_on() -> None:
    source = Source()
    cursor, (slow, *others) = standing(source, 3)
    slow.full_after = 1
    source.write("a")
    cursor.wake()
    source.write("b")
    cursor.wake()
    assert (slow.taken, slow.fell_out_at) == (framed("a"), 1)
    assert {member.taken for member in others} == {framed("a", "b")}


def test_one_that_trips_costs_nobody_else_anything() -> None:
    source = Source()
    cursor, members = standing(source, 2)

    def trip(_: bytes) -> None:
        raise RuntimeError("no connection")

    cursor.join(Connection(), trip)
    last = Connection()
    last.join(cursor)
    source.write("a")
    cursor.wake()
    assert {member.taken for member in (*members, last)} == {framed("a")}


def test_all_fall_out_where_memory_no_longer_holds_what_comes_next() -> None:
    source = Source(limit_bytes=100)
    cursor, members = standing(source, 2)
    source.write(*("x" * 30 for _ in range(10)))
    assert source.buffer.begin > 0
    cursor.wake()
    assert [(member.taken, member.fell_out_at) for member in members] == [(b"", 0)] * 2


def test_all_fall_out_at_the_end_after_the_last_event() -> None:
    source = Source()
    cursor, members = standing(source, 2)
    source.write("a")
    source.over = True
    cursor.wake()
    assert [(member.taken, member.fell_out_at) for member in members] == [(framed("a"), 1)] * 2
    assert len(cursor) == 0


class Subscriber:
    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    def on_note(self, kind: bytes, encoded: bytes) -> None:
        """None of this test's business."""


async def test_rows_are_no_longer_than_one_turn_and_empty_ones_are_forgotten() -> None:
    source = Source()
    subscribers = Subscribers(source)
    watchers = [Subscriber() for _ in range(ROW_LIMIT_VIEWERS + 1)]
    members = [Connection() for _ in watchers]
    for subscriber, member in zip(watchers, members, strict=True):
        subscribers.join(subscriber)
        member.cursor = subscribers.share_cursor(subscriber, member, member.write, 0)
    rows = {id(member.cursor): member.cursor for member in members}
    assert sorted(len(cursor) for cursor in rows.values() if cursor) == [1, ROW_LIMIT_VIEWERS]
    for member in members[:ROW_LIMIT_VIEWERS]:
        member.leave()
    late, latest = Connection(), Connection()
    assert subscribers.share_cursor(watchers[0], late, late.write, 1) is not rows[id(members[0].cursor)]
    # The first row has room again, and was forgotten when another one was made.
    assert subscribers.share_cursor(watchers[1], latest, latest.write, 0) is members[-1].cursor
