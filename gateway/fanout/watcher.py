"""What a response sends: the events of one stream (`Viewer`) or of several (`JointViewer`)."""

from collections.abc import Sequence
from typing import Protocol

from gateway.fanout.replay_buffer import Slice
from gateway.fanout.shared_cursor import Write
from gateway.fanout.viewer import Viewer


class Watcher(Protocol):
    """Its response calls `LocalViewers.join` and then sends what `take` returns, until `finished`."""

    @property
    def name(self) -> str:
        """What it watches, for the log."""

    @property
    def viewers(self) -> Sequence[Viewer]:
        """One for each stream."""

    @property
    def finished(self) -> bool:
        """Whether nothing follows: end the response."""

    @property
    def is_behind(self) -> bool:
        """Whether memory no longer holds the next event: call `take_page`, not `take`."""

    def take(self) -> Slice | None:
        """The bytes to send now. None: there are none yet or, if `finished`, there will be none.

        No bytes: look at `is_behind` again.
        """

    async def take_page(self) -> Slice:
        """The next events, from Redis. Call it if `is_behind`.

        Raises: BrokerUnavailableError, BrokerRefusedError, MalformedEventError. Then end the response: the client
        reconnects.
        """

    def share_cursor(self, write: Write) -> None:
        """Call it when `take` has returned None. `write` may then get the following events as HTTP chunks, until the
        watcher wakes its response. Call `leave_shared_cursor` before the next `take`."""

    def leave_shared_cursor(self) -> None:
        """Continues alone. No effect on a watcher that shares no cursor."""
