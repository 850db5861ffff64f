"""The interface between a feed and the objects that it notifies."""

from collections.abc import Callable
from typing import Protocol


class Subscriber(Protocol):
    """A viewer, or a request that waits for its run. No call may block."""

    @property
    def stream_id(self) -> str: ...

    @property
    def resumes(self) -> bool:
        """Whether the client reconnects by itself after `dismiss`."""

    @property
    def wake(self) -> Callable[[], None]:
        """Called when the buffer has grown or the feed is over. A viewer that shares a cursor is woken only when it
        must leave the cursor and continue alone.

        May be an attribute that holds a function, because that is faster, and this is the only call made for every
        viewer and event.
        """

    def on_notice(self, kind: bytes, encoded: bytes) -> None:
        """Takes a message that is not in the buffer. Only the newest of each kind matters."""

    def on_revoked(self, count: int) -> None:
        """The stream's tickets have been revoked `count` times."""

    def dismiss(self, retry_window_ms: int) -> None:
        """Ends the response before its stream ends. A client that resumes should reconnect within the window."""
