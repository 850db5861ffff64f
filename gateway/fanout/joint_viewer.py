"""Several viewers that share one response: each event carries the id of its stream. No I/O.

Browsers allow six connections per host on HTTP/1.1, so one connection must be able to carry many streams.
docs/protocol.md, section 4, specifies the format. It is the native dialect with another `id:`, so that the feeds'
encoded events serve here too: only their last line is replaced.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contract.event import encode_json
from gateway.dialects.native import NativeDialect
from gateway.fanout.feed import FeedStatus
from gateway.fanout.joint_id import CLOSED, Place, write_id
from gateway.fanout.replay_buffer import Slice
from gateway.fanout.shared_cursor import Write
from gateway.fanout.viewer import STOPPING_CODE, Dismissal, Viewer

FORBIDDEN = 403
NOTHING = Slice(b"", 0)


class JointViewer:
    """Watches several streams, in turns: a stream with a long history does not hold up the others.

    Its response has viewers for the streams that could be opened, and says of each other stream why it is closed.
    """

    def __init__(self, places: Sequence[Place], retry_ms: int, leave: Callable[[Viewer], None]) -> None:
        """`places`: one for each stream of the request, in its order. `leave` is called with a viewer whose stream has
        ended, while the response goes on. `retry_ms`: how long a client waits before it reconnects."""
        self.finished = False
        self.viewers: list[Viewer] = []
        self._places = [place.encode() for place in places]
        self._dialect = NativeDialect()
        self._leave = leave
        self._stream_ids = [place.stream_id for place in places]
        watching = self._dialect.write_notice(b"watching", encode_json({"streams": self._stream_ids}))
        self._prologue = [self._dialect.write_retry(retry_ms), watching]
        # Index of the place and viewer. The stream that was served last is the last one.
        self._turns: list[tuple[int, Viewer]] = []

    def add(self, index: int, viewer: Viewer) -> None:
        """Watches the stream of the place at `index`. Call it before the response begins."""
        self.viewers.append(viewer)
        self._turns.append((index, viewer))

    def close(self, index: int, status: int, error: Mapping[str, Any] | None, *, for_good: bool) -> None:
        """Says why the stream of the place at `index` is not watched: `status` and `error` are what a request for its
        events would get. `for_good`: a client that resumes does not ask for it again.

        Call it before the response begins.
        """
        self._prologue.append(self._write_closed(index, status, error, for_good=for_good))

    def ask_again(self, retry_window_ms: int) -> None:
        """Ends the response, so that its client comes back within the window and asks again for the streams that had no
        room. Has no effect on a response that is over."""
        for _, viewer in self._turns:
            viewer.dismiss(retry_window_ms)

    @property
    def name(self) -> str:
        return ", ".join(self._stream_ids)

    # What to send next

    @property
    def is_behind(self) -> bool:
        turn = self._next_turn()
        return turn is not None and turn[1].is_behind

    def take(self) -> Slice | None:
        if self._prologue:
            body = b"".join(self._prologue)
            self._prologue.clear()
            return Slice(body, 0)
        while (turn := self._next_turn()) is not None:
            index, viewer = turn
            if viewer.dismissal is not None:
                return self._take_dismissal(index, viewer, viewer.dismissal)
            if viewer.is_behind:
                return NOTHING
            due = viewer.take()
            if due is not None:
                self._pass_turn(turn)
                return self._address(index, due)
            if viewer.feed.status is FeedStatus.VOID:
                # Its client must come back to learn what is void.
                self.finished = True
                return None
            self._drop(index, viewer)
        if not self._turns:
            self.finished = True
        return None

    async def take_page(self) -> Slice:
        # Another stream may have got something to send since the caller looked.
        turn = next((turn for turn in self._turns if turn[1].is_behind), None)
        if turn is None:
            return NOTHING
        index, viewer = turn
        page = await viewer.take_page()
        self._pass_turn(turn)
        return self._address(index, page)

    def share_cursor(self, write: Write) -> None:
        """Does nothing: no other response has the same bytes."""

    def leave_shared_cursor(self) -> None:
        """Does nothing: see `share_cursor`."""

    def _next_turn(self) -> tuple[int, Viewer] | None:
        """The first stream that has something to send."""
        if self._prologue or self.finished:
            return None
        return next((turn for turn in self._turns if turn[1].has_due), None)

    def _pass_turn(self, turn: tuple[int, Viewer]) -> None:
        self._turns.remove(turn)
        self._turns.append(turn)

    def _drop(self, index: int, viewer: Viewer) -> None:
        self._turns.remove((index, viewer))
        self._leave(viewer)

    def _take_dismissal(self, index: int, viewer: Viewer, dismissal: Dismissal) -> Slice | None:
        if dismissal.code == STOPPING_CODE:
            # All viewers of this response have been dismissed, or will be in a moment.
            self.finished = True
            return viewer.take()
        error = {"message": dismissal.text, "type": "permission_error", "param": "ticket", "code": dismissal.code}
        self._drop(index, viewer)
        return Slice(self._write_closed(index, FORBIDDEN, error, for_good=True), 0)

    # The format

    def _write_closed(self, index: int, status: int, error: Mapping[str, Any] | None, *, for_good: bool) -> bytes:
        if for_good:
            self._places[index] = CLOSED
        notice = self._dialect.write_notice(b"closed", encode_json({"status": status, "error": error}))
        return write_id(notice, self._stream_ids[index], self._places, index)

    def _address(self, index: int, encoded: Slice) -> Slice:
        return Slice(write_id(encoded.body, self._stream_ids[index], self._places, index), 0)
