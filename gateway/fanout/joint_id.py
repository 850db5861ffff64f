"""The `id:` of a joint response: `STREAM PLACES`. Pure: no I/O, no clock.

STREAM is the id of the event's stream. PLACES are the positions of all streams of the request, in its order, so that
the last id that a client got is all a gateway needs to resume every stream.
"""

from collections.abc import Sequence
from typing import NamedTuple

from contract.position import MalformedPositionError, Position

CLOSED = b"x"
"""The place of a stream that was refused for good. Positions begin with a digit."""


class MalformedJointIdError(ValueError):
    """The text is not the `id:` of a joint response with that number of streams."""


class Place(NamedTuple):
    """A stream of a joint response, and its client's position in it. None: the stream was refused for good."""

    stream_id: str
    position: Position | None

    def encode(self) -> bytes:
        return CLOSED if self.position is None else str(self.position).encode()


def parse_places(text: str, count: int) -> list[Position | None]:
    """The positions in an `id:`, for `count` streams. Raises: MalformedJointIdError."""
    places = text.rpartition(" ")[2].split(",")
    if len(places) != count:
        raise MalformedJointIdError(f"malformed position {text[:64]!r}: expected the `id:` of {count} streams")
    try:
        return [None if place == CLOSED.decode() else Position.parse(place) for place in places]
    except MalformedPositionError as error:
        raise MalformedJointIdError(str(error)) from error


def write_id(encoded: bytes, stream_id: str, places: list[bytes], index: int) -> bytes:
    """Events of the native dialect with the id of a joint response in place of their own, which becomes
    `places[index]`. A notice has no id of its own: it gets one too, because the client must know its stream."""
    before = b"\nid: %b " % stream_id.encode() + _join(places[:index], after=b",")
    after = _join(places[index + 1 :], before=b",") + b"\n\n"
    written: list[bytes] = []
    # JSON in one line has no line feed, so only the end of an event has two.
    for event in encoded.split(b"\n\n")[:-1]:
        fields, has_id, position = event.rpartition(b"\nid: ")
        if has_id:
            places[index] = position
        written += (fields if has_id else event, before, places[index], after)
    return b"".join(written)


def _join(places: Sequence[bytes], *, before: bytes = b"", after: bytes = b"") -> bytes:
    return b"".join(before + place + after for place in places)
