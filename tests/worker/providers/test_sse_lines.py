"""Frames come out of bytes whole, wherever these were cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.providers.sse_lines import Frame, FrameReader, LineTooLongError

STREAM = (
    ": a comment\n\n"
    'data: {"text":"line\u2028separator and next\u0085line"}\n\n'
    "data: first\r\ndata: second\r\n\r\n"
    "event: error\ndata: {}\n\n"
    "id: 7\nretry: 5\n\n"
    "data:no space\n\n"
    "data\n\n"
    "event: without data\n\n"
    "data: plain again\n\n"
    "data: [DONE]"
).encode()
FRAMES = [
    Frame(b"", '{"text":"line\u2028separator and next\u0085line"}'.encode()),
    Frame(b"", b"first\nsecond"),
    Frame(b"error", b"{}"),
    Frame(b"", b"no space"),
    Frame(b"", b""),
    Frame(b"", b"plain again"),
    Frame(b"", b"[DONE]"),
]


def read(*pieces: bytes, limit_bytes: int = 1 << 20) -> list[Frame]:
    reader = FrameReader(limit_bytes)
    return [*(frame for piece in pieces for frame in reader.feed(piece)), *reader.end()]


def test_a_stream_in_one_piece_is_read() -> None:
    assert read(STREAM) == FRAMES


def test_a_stream_in_single_bytes_is_read() -> None:
    assert read(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == FRAMES


@given(st.lists(st.integers(0, len(STREAM))))
def test_a_stream_is_read_wherever_it_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[one:two] for one, two in itertools.pairwise(edges))) == FRAMES


def test_a_frame_is_there_as_soon_as_its_blank_line_is() -> None:
    reader = FrameReader(1 << 20)
    assert list(reader.feed(b"data: a\n")) == []
    assert list(reader.feed(b"\nda")) == [Frame(b"", b"a")]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_the_last_frame_needs_no_end(end: bytes) -> None:
    assert read(b"data: a" + end) == [Frame(b"", b"a")]


def test_a_line_without_end_does_not_grow_for_ever() -> None:
    with pytest.raises(LineTooLongError):
        read(b"data: " + b"x" * 40, b"x" * 40, limit_bytes=64)


def test_a_long_line_in_many_pieces_is_joined_once() -> None:
    assert read(b"data: ", *[b"x" * 10] * 1000, b"\n\n") == [Frame(b"", b"x" * 10_000)]
