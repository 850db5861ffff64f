"""A server-sent event as text."""

from typing import NamedTuple, Self

from contract.sse import Frame


class TextFrame(NamedTuple):
    """As `Frame`: `event` is empty without a type, `id` is None without an id."""

    event: str
    data: str
    id: str | None

    @classmethod
    def decode(cls, frame: Frame) -> Self:
        """Bytes that are not UTF-8 become U+FFFD, as the standard demands."""
        event_id = None if frame.id is None else frame.id.decode(errors="replace")
        return cls(frame.event.decode(errors="replace"), frame.data.decode(errors="replace"), event_id)
