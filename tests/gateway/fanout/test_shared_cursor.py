"""Viewers share a cursor until they differ: one is slow, gets a notice, or leaves."""

from contract.position import Position
from gateway.fanout.replay_buffer import ReplayBuffer
from gateway.fanout.shared_cursor import CURSOR_LIMIT_VIEWERS, SharedCursor
from gateway.fanout.subscribers import Subscribers


class Source:
    """A feed, as far as a cursor reads it."""

    def __init__(self, limit_bytes: int = 1 << 20) -> None:
        self.buffer = ReplayBuffer(limit_bytes)
        self.over = False
        self.written = b""

    def write(self, *texts: str) -> None:
        for text in texts:
            self.buffer.append(Position(1, self.buffer.end + 1), text.encode())
            self.written += text.encode()


class Connection:
    """A viewer that shares a cursor. It stores what is written to it, and leaves when it is full."""

    stream_id = "s"
    resumes = True

    def __init__(self) -> None:
        self.cursor: SharedCursor | None = None
        self.taken = b""
        self.full_after: int | None = None
        self.left_at: int | None = None

    def join(self, cursor: SharedCursor) -> None:
        self.cursor = cursor
        cursor.join(self, self.write)

    def write(self, framed: bytes) -> None:
        self.taken += framed
        if self.full_after is not None and len(self.taken) >= self.full_after:
            self.leave()

    def wake(self) -> None:
        self.leave()

    def on_notice(self, kind: bytes, encoded: bytes) -> None:
        """Not used here."""

    def on_revoked(self, count: int) -> None:
        """Not used here."""

    def dismiss(self, retry_window_ms: int) -> None:
        """Not used here."""

    def leave(self) -> None:
        assert self.cursor is not None
        self.cursor.leave(self)
        self.left_at = self.cursor.index


def members_at(source: Source, count: int, index: int = 0) -> tuple[SharedCursor, list[Connection]]:
    cursor, members = SharedCursor(source, index), [Connection() for _ in range(count)]
    for member in members:
        member.join(cursor)
    return cursor, members


def framed(*texts: str) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(text), text.encode()) for text in texts)


def test_all_members_get_each_event_once_and_in_order() -> None:
    source = Source()
    cursor, members = members_at(source, 3)
    source.write("a")
    cursor.wake()
    cursor.wake()
    source.write("b", "c")
    cursor.wake()
    assert {member.taken for member in members} == {framed("a", "bc")}
    assert cursor.index == 3


def test_a_full_member_leaves_at_its_index_and_the_others_go_on() -> None:
    source = Source()
    cursor, (slow, *others) = members_at(source, 3)
    slow.full_after = 1
    source.write("a")
    cursor.wake()
    source.write("b")
    cursor.wake()
    assert (slow.taken, slow.left_at) == (framed("a"), 1)
    assert {member.taken for member in others} == {framed("a", "b")}


def test_an_error_in_one_write_affects_no_other_member() -> None:
    source = Source()
    cursor, members = members_at(source, 2)

    def fail(_: bytes) -> None:
        raise RuntimeError("no connection")

    cursor.join(Connection(), fail)
    last = Connection()
    last.join(cursor)
    source.write("a")
    cursor.wake()
    assert {member.taken for member in (*members, last)} == {framed("a")}


def test_all_members_leave_when_the_buffer_has_dropped_their_next_event() -> None:
    source = Source(limit_bytes=100)
    cursor, members = members_at(source, 2)
    source.write(*("x" * 30 for _ in range(10)))
    assert source.buffer.begin > 0
    cursor.wake()
    assert [(member.taken, member.left_at) for member in members] == [(b"", 0)] * 2


def test_all_members_leave_after_the_last_event() -> None:
    source = Source()
    cursor, members = members_at(source, 2)
    source.write("a")
    source.over = True
    cursor.wake()
    assert [(member.taken, member.left_at) for member in members] == [(framed("a"), 1)] * 2
    assert len(cursor) == 0


async def test_a_cursor_has_a_limit_and_an_empty_one_is_dropped() -> None:
    source = Source()
    subscribers = Subscribers(source)
    viewers = [Connection() for _ in range(CURSOR_LIMIT_VIEWERS + 1)]
    for viewer in viewers:
        viewer.cursor = subscribers.share_cursor(viewer, viewer.write, 0)
    cursors = {id(viewer.cursor): viewer.cursor for viewer in viewers}
    assert sorted(len(cursor) for cursor in cursors.values() if cursor) == [1, CURSOR_LIMIT_VIEWERS]
    for viewer in viewers[:CURSOR_LIMIT_VIEWERS]:
        viewer.leave()
    late, latest = Connection(), Connection()
    assert subscribers.share_cursor(late, late.write, 1) is not viewers[0].cursor
    # The first cursor has room again, but was dropped when the new one was made.
    assert subscribers.share_cursor(latest, latest.write, 0) is viewers[-1].cursor
