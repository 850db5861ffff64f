"""The events of one stream in one dialect, encoded and shared by all viewers. Pure: no I/O, no clock.

A viewer is an integer here: the index of the next event it has not had. Indices count from the first event of the log
and never change; the oldest events may be dropped from memory, the index of those that stay is the same.
"""

from bisect import bisect_right

from contract.position import START, Position

JOINED_KEPT = 8
"""Places at which viewers stand together. On a stream that is over, every other place would stay for ever."""


class Slice:
    """Some events in one piece, and the index after them."""

    __slots__ = ("_framed", "body", "end")

    def __init__(self, body: bytes, end: int) -> None:
        self.body = body
        self.end = end
        self._framed: bytes | None = None

    @property
    def framed(self) -> bytes:
        """The same as one chunk of HTTP/1.1's chunked coding (RFC 9112, section 7.1); made once, for all viewers.

        Nothing is framed as nothing: a chunk without a byte would end the body.
        """
        if not self.body:
            return b""
        if self._framed is None:
            self._framed = b"%x\r\n%b\r\n" % (len(self.body), self.body)
        return self._framed


class ReplayBuffer:
    """Append-only, in order. Knows where every position stands without keeping one per event.

    Each epoch begins at seq 1 and has no hole, so the index at which it begins tells all its positions.
    """

    def __init__(self, limit_bytes: int, join_limit_bytes: int = 1 << 17) -> None:
        self.begin = 0
        """The index of the oldest event that is still in memory."""
        self.end = 0
        """The index after the newest event."""
        self._events: list[bytes] = []
        self._bytes = 0
        self._limit_bytes = limit_bytes
        self._join_limit_bytes = join_limit_bytes
        self._epochs: list[int] = []
        self._begins: list[int] = []
        self._joined: dict[int, Slice] = {}
        self.last = START

    def append(self, position: Position, encoded: bytes) -> None:
        """The caller has checked that `position` comes next."""
        if position.epoch != self.last.epoch:
            self._epochs.append(position.epoch)
            self._begins.append(self.end)
        self._events.append(encoded)
        self.end += 1
        self._bytes += len(encoded)
        self.last = position
        if self._bytes > self._limit_bytes:
            self._drop()
        if self._joined:
            self._joined.clear()

    def follows(self, position: Position) -> bool:
        """Whether `position` may come next, as far as positions alone can tell."""
        if position.epoch == self.last.epoch:
            return position.seq == self.last.seq + 1
        return position.epoch > self.last.epoch and position.seq == 1

    def index_after(self, position: Position) -> int | None:
        """Where a viewer goes on that has had everything up to `position`; None where the log has no such event."""
        if position == START:
            return 0
        at = bisect_right(self._epochs, position.epoch) - 1
        if at < 0 or self._epochs[at] != position.epoch or position.seq == 0:
            return None
        index = self._begins[at] + position.seq
        beyond = self._begins[at + 1] if at + 1 < len(self._begins) else self.end
        return index if index <= beyond else None

    def position_before(self, index: int) -> Position:
        """The position of the event before `index`: what a viewer that stands there has had last."""
        if index == 0:
            return START
        at = bisect_right(self._begins, index - 1) - 1
        return Position(self._epochs[at], index - self._begins[at])

    def take(self, index: int) -> Slice | None:
        """Events from `index` on, joined; None where there is none yet. `index` must not be before `begin`.

        What is joined is shared: viewers that stand at the same place get the same object. One take is bounded, so
        that a late viewer does not hold up the others.
        """
        known = self._joined.get(index)
        if known is None and index < self.end:
            if len(self._joined) == JOINED_KEPT:
                del self._joined[next(iter(self._joined))]
            known = self._joined[index] = self._join(index - self.begin)
        return known

    def _join(self, offset: int) -> Slice:
        events = self._events
        if offset == len(events) - 1:
            return Slice(events[offset], self.end)
        size, stop = 0, offset
        while stop < len(events) and (size == 0 or size + len(events[stop]) <= self._join_limit_bytes):
            size += len(events[stop])
            stop += 1
        return Slice(b"".join(events[offset:stop]), self.begin + stop)

    def _drop(self) -> None:
        # A quarter at once: dropping one by one would move the list for every event.
        target, count, freed = self._limit_bytes * 3 // 4, 0, 0
        while self._bytes - freed > target and count < len(self._events) - 1:
            freed += len(self._events[count])
            count += 1
        del self._events[:count]
        self.begin += count
        self._bytes -= freed
