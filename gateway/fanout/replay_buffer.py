"""The events of one stream in one dialect, encoded and shared by all viewers. No I/O, no clock.

To the buffer, a viewer is an integer: the index of its next event. Indices count from the first event of the log and
never change: when the oldest events are dropped from memory, the others keep their indices.
"""

from bisect import bisect_right

from contract.position import START, Position

JOINED_KEPT = 8
"""How many joined slices are kept. An append removes them all, but an ended stream gets no append."""


class Slice:
    """Consecutive events in one byte string, and the index after them."""

    __slots__ = ("_framed", "body", "end")

    def __init__(self, body: bytes, end: int) -> None:
        self.body = body
        self.end = end
        self._framed: bytes | None = None

    @property
    def framed(self) -> bytes:
        """The body as one chunk of HTTP/1.1's chunked coding (RFC 9112, section 7.1), encoded once for all viewers.

        An empty body gives an empty string: a chunk of no bytes would end the response.
        """
        if not self.body:
            return b""
        if self._framed is None:
            self._framed = b"%x\r\n%b\r\n" % (len(self.body), self.body)
        return self._framed


class ReplayBuffer:
    """Append-only. Finds the index of a position without storing a position for each event.

    Each epoch begins at seq 1 and has no hole, so the index of its first event gives all others.
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
        self._joined_bytes = 0
        self.last = START

    @property
    def held_bytes(self) -> int:
        """The events in memory. Joined slices count twice: each may also exist as a chunk of HTTP."""
        return self._bytes + 2 * self._joined_bytes

    def append(self, position: Position, encoded: bytes) -> None:
        """`position` must be the next one of the stream; `EventMerge` guarantees it."""
        if position.epoch != self.last.epoch:
            self._epochs.append(position.epoch)
            self._begins.append(self.end)
        self._events.append(encoded)
        self.end += 1
        self._bytes += len(encoded)
        self.last = position
        if self._bytes > self._limit_bytes:
            # Drop a quarter at once: each deletion moves the rest of the list.
            self._drop(self._limit_bytes * 3 // 4)
        if self._joined:
            self._forget_joined()

    def shrink(self, target_bytes: int) -> None:
        """Drops joined slices, and the oldest events down to `target_bytes`. The last event stays."""
        self._forget_joined()
        if self._bytes > target_bytes:
            self._drop(target_bytes)

    def _forget_joined(self) -> None:
        self._joined.clear()
        self._joined_bytes = 0

    def index_after(self, position: Position) -> int | None:
        """The index of the event after `position`; None if the log has no such position."""
        if position == START:
            return 0
        at = bisect_right(self._epochs, position.epoch) - 1
        if at < 0 or self._epochs[at] != position.epoch or position.seq == 0:
            return None
        index = self._begins[at] + position.seq
        beyond = self._begins[at + 1] if at + 1 < len(self._begins) else self.end
        return index if index <= beyond else None

    def index_of_epoch_after(self, epoch: int) -> int | None:
        """The index of the first event of an epoch later than `epoch`; None if no later epoch has begun."""
        at = bisect_right(self._epochs, epoch)
        return self._begins[at] if at < len(self._begins) else None

    def position_before(self, index: int) -> Position:
        """The position of the event before `index`: the last one that a viewer at `index` has had."""
        if index == 0:
            return START
        at = bisect_right(self._begins, index - 1) - 1
        return Position(self._epochs[at], index - self._begins[at])

    def take(self, index: int) -> Slice | None:
        """The events from `index` on, joined; None if there are none yet. `index` must not be before `begin`.

        Viewers at the same index get the same object. Its size is bounded, so that a late viewer does not delay the
        others.
        """
        known = self._joined.get(index)
        if known is None and index < self.end:
            if len(self._joined) == JOINED_KEPT:
                self._joined_bytes -= len(self._joined.pop(next(iter(self._joined))).body)
            known = self._joined[index] = self._join(index - self.begin)
            self._joined_bytes += len(known.body)
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

    def _drop(self, target_bytes: int) -> None:
        count, freed = 0, 0
        while self._bytes - freed > target_bytes and count < len(self._events) - 1:
            freed += len(self._events[count])
            count += 1
        del self._events[:count]
        self.begin += count
        self._bytes -= freed
