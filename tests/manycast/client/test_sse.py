"""The frame reader against the standard's own rules, fed in pieces of every size."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.client.sse import Frame, FrameReader, FrameTooLongError


def read(*pieces: bytes) -> list[Frame]:
    reader = FrameReader()
    return [frame for piece in pieces for frame in reader.feed(piece)]


def test_a_frame_has_the_type_the_data_and_the_id_that_its_lines_give() -> None:
    assert read(b'id: 1-2\nevent: chunk\ndata: {"a":1}\n\n') == [Frame("chunk", '{"a":1}', "1-2")]


def test_a_frame_without_an_id_does_not_inherit_the_last_one() -> None:
    assert [frame.id for frame in read(b"id: 1-1\ndata: a\n\ndata: b\n\n")] == ["1-1", None]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_each_line_end_of_the_standard_ends_a_line(end: bytes) -> None:
    whole = end.join([b"id: 1-1", b"data: a", b"data: b", b"", b"data: c", b"", b""])
    assert read(whole) == [Frame("message", "a\nb", "1-1"), Frame("message", "c", None)]


def test_a_frame_that_ends_with_cr_is_given_back_before_the_next_byte_comes() -> None:
    assert read(b"data: a\r\r") == [Frame("message", "a", None)]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_what_only_python_holds_for_a_line_end_is_text(separator: str) -> None:
    assert read(f"data: a{separator}b\n\n".encode()) == [Frame("message", f"a{separator}b", None)]


def test_exactly_one_space_after_the_colon_is_taken_away() -> None:
    assert [frame.data for frame in read(b"data:  a \n\ndata:b\n\n")] == [" a ", "b"]


def test_comments_unknown_fields_and_frames_without_data_are_not_given_back() -> None:
    assert read(b": ping\n\nfoo: bar\n\nid: 1-1\n\nevent: x\n\ndata\n\n") == [Frame("message", "", None)]


def test_an_id_with_a_nul_is_ignored() -> None:
    assert read(b"id: 1\x00\ndata: a\n\n") == [Frame("message", "a", None)]


def test_a_byte_order_mark_is_taken_away_at_the_start_only() -> None:
    mark = b"\xef\xbb\xbf"
    assert [frame.data for frame in read(mark + b"data: a\n\ndata: " + mark + b"b\n\n")] == ["a", "\ufeffb"]


def test_a_frame_cut_off_by_the_end_of_the_response_is_not_given_back() -> None:
    assert read(b"data: a\n\nid: 1-2\ndata: b\n") == [Frame("message", "a", None)]


def test_the_reconnect_time_is_kept_and_anything_but_digits_is_ignored() -> None:
    reader = FrameReader()
    assert reader.retry_ms is None
    reader.feed(b"retry: 250\n\n")
    reader.feed("retry: -1\n\nretry: ٣\n\nretry:\n\n".encode())
    assert reader.retry_ms == 250


def test_a_frame_longer_than_the_limit_is_refused_in_one_line_or_in_many() -> None:
    with pytest.raises(FrameTooLongError):
        read_limited(b"data: " + b"a" * 200)
    with pytest.raises(FrameTooLongError):
        read_limited(*[b"data: aaaaaaaaaaaa\n"] * 8)
    assert len(read_limited(*[b"data: aaaaaaaaaaaa\n\n"] * 50)) == 50


def read_limited(*pieces: bytes) -> list[Frame]:
    reader = FrameReader(limit_chars=100)
    return [frame for piece in pieces for frame in reader.feed(piece)]


texts = st.text(alphabet=st.sampled_from("ab :\u2028\u0000é😀{}"), max_size=12)
line_ends = st.sampled_from(["\n", "\r\n", "\r"])


@given(
    st.lists(st.tuples(texts, st.sampled_from(["data", "event", "id", "", "retry"]), line_ends), max_size=20),
    st.lists(st.integers(min_value=0, max_value=400)),
)
def test_the_frames_do_not_depend_on_where_the_bytes_are_cut(
    lines: list[tuple[str, str, str]], cuts: list[int]
) -> None:
    whole = "".join(f"{name}:{text}{end}" if name else end for text, name, end in lines).encode() + b"\n\n"
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    pieces = [whole[start:stop] for start, stop in pairwise(places)]
    assert read(*pieces) == read(whole) == read(*[bytes([byte]) for byte in whole])
