"""The reader of server-sent events against the standard's rules and against what providers send, however it is cut."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract.sse import Frame, FrameReader, FrameTooLongError

MARK = b"\xef\xbb\xbf"


def read(*pieces: bytes) -> list[Frame]:
    """What a reader yields that drops an unfinished event."""
    reader = FrameReader()
    return [frame for piece in pieces for frame in reader.feed(piece)]


def read_to_end(*pieces: bytes) -> list[Frame]:
    """What a reader yields that takes an unfinished event, too."""
    reader = FrameReader()
    return [*(frame for piece in pieces for frame in reader.feed(piece)), *reader.end()]


def data_of(frames: list[Frame]) -> list[bytes]:
    return [frame.data for frame in frames]


def single_bytes(whole: bytes) -> list[bytes]:
    return [whole[at : at + 1] for at in range(len(whole))]


def test_a_frame_has_the_type_data_and_id_of_its_lines() -> None:
    assert read(b'id: 1-2\nevent: chunk\ndata: {"a":1}\n\n') == [Frame(b"chunk", b'{"a":1}', b"1-2")]


def test_a_frame_inherits_neither_type_nor_id() -> None:
    assert read(b"id: 1-1\nevent: x\ndata: a\n\ndata: b\n\n") == [Frame(b"x", b"a", b"1-1"), Frame(b"", b"b", None)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_of_the_standard_ends_a_line(end: bytes) -> None:
    whole = end.join([b"id: 1-1", b"data: a", b"data: b", b"", b"data: c", b"", b""])
    assert read(whole) == read(*single_bytes(whole)) == [Frame(b"", b"a\nb", b"1-1"), Frame(b"", b"c", None)]


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\r\n\r", b"\n\r"])
def test_a_frame_is_yielded_as_soon_as_its_blank_line_is_there(end: bytes) -> None:
    assert data_of(read(b"data: a" + end)) == [b"a"]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
@pytest.mark.parametrize("end", ["\n\n", "\r\r"])
def test_characters_that_end_a_line_only_in_python_are_data(separator: str, end: str) -> None:
    assert data_of(read(f"data: a{separator}b{end}".encode())) == [f"a{separator}b".encode()]


@pytest.mark.parametrize(
    ("line", "data"), [(b"data:b", b"b"), (b"data: b", b"b"), (b"data:  b ", b" b "), (b"data:", b""), (b"data", b"")]
)
def test_at_most_one_space_after_the_colon_is_removed(line: bytes, data: bytes) -> None:
    assert data_of(read(line + b"\n\n")) == [data]


def test_comments_unknown_fields_and_events_without_data_yield_nothing() -> None:
    assert read(b": ping\n\n:\n\nfoo: bar\n\nid: 1-1\n\nevent: x\n\ndatum: y\n\n data: z\n\n") == []


def test_an_id_with_a_nul_is_ignored() -> None:
    assert read(b"id: 1\x00\ndata: a\n\n") == [Frame(b"", b"a", None)]


@pytest.mark.parametrize("cut", range(5))
def test_a_byte_order_mark_is_removed_at_the_start_only(cut: int) -> None:
    whole = MARK + b"data: a\n\n" + MARK + b"data: b\n\ndata: " + MARK + b"c\n\n"
    assert data_of(read(whole[:cut], whole[cut:])) == [b"a", MARK + b"c"]


def test_a_part_of_a_byte_order_mark_stays_in_the_text() -> None:
    assert data_of(read(MARK[:2] + b"data: a\n\n", b"data: b\n\n")) == [b"b"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r"])
def test_an_unfinished_event_is_dropped_unless_the_caller_asks_for_it(end: bytes) -> None:
    whole = b"data: a\n\nid: 1-2\ndata: b" + end
    assert data_of(read(whole)) == [b"a"]
    assert read_to_end(whole) == [Frame(b"", b"a", None), Frame(b"", b"b", b"1-2")]


@pytest.mark.parametrize("whole", [b"", MARK[:1], MARK, b"data: a\n\n", b"data: a\r\r", b"event: x", b": ping\n"])
def test_the_end_adds_nothing_where_no_data_is_unfinished(whole: bytes) -> None:
    assert read_to_end(whole) == read(whole)


def test_the_reconnect_time_is_kept_and_anything_but_digits_is_ignored() -> None:
    reader = FrameReader()
    assert reader.retry_ms is None
    assert list(reader.feed(b"retry: 250\n\n")) == []
    assert list(reader.feed("retry: -1\n\nretry: ٣\n\nretry:\n\n".encode())) == []
    assert reader.retry_ms == 250


def test_a_long_line_in_many_pieces_is_whole() -> None:
    assert data_of(read(b"data: ", *[b"x" * 10] * 1000, b"\n\n")) == [b"x" * 10_000]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"a" * 200],
        [b"data: " + b"a" * 200 + b"\n\n"],
        [b"data: ", *[b"a"] * 200],
        [b"data: aaaaaaaaaaaa\n"] * 8,
        [b"data: aaaaaaaaaaaa\n" * 8 + b"\n"],
        [b"data\n"] * 40,
        [b":" + b"a" * 200 + b"\n\n"],
        [b"event: " + b"a" * 60 + b"\nid: " + b"a" * 60],
    ],
)
def test_an_event_above_the_limit_is_refused_and_earlier_ones_are_kept(pieces: list[bytes]) -> None:
    frames, is_refused = read_limited(b"data: before\n\n" + pieces[0], *pieces[1:])
    assert (data_of(frames), is_refused) == ([b"before"], True)


@pytest.mark.parametrize("piece", [b"a", b"data: a\n", b"data\r\n", b"data: aaaa\ndata: aa"])
def test_an_event_that_never_ends_is_refused_once_it_exceeds_the_limit(piece: bytes) -> None:
    reader = FrameReader(limit_bytes=100)
    with pytest.raises(FrameTooLongError):
        assert data_of([frame for _ in range(101) for frame in reader.feed(piece)]) == []


def test_many_events_within_the_limit_are_not_refused() -> None:
    frames, is_refused = read_limited(*[b": ping\n\ndata: aaaaaaaaaaaa\n\n"] * 50)
    assert (len(frames), is_refused) == (50, False)


def read_limited(*pieces: bytes) -> tuple[list[Frame], bool]:
    """The frames of a reader with a limit of 100 bytes that takes an unfinished event, and whether it refused one."""
    frames: list[Frame] = []
    reader = FrameReader(limit_bytes=100)
    sources: list[Iterable[Frame]] = [*map(reader.feed, pieces), reader.end()]
    try:
        for source in sources:
            frames += source
    except FrameTooLongError:
        return frames, True
    return frames, False


texts = st.text(alphabet=st.sampled_from("ab :\u2028\u0000é😀{}\ufeff"), max_size=12)
line_ends = st.sampled_from(["\n", "\r\n", "\r"])
fields = st.sampled_from(["data:", "data: ", "data", "event:", "id: ", "", ":", "retry:"])
streams = st.builds(
    lambda mark, lines, last: (mark + "".join(f"{name}{text}{end}" for name, text, end in lines) + last).encode(),
    st.sampled_from(["", "\ufeff"]),
    st.lists(
        st.one_of(st.tuples(fields, texts, line_ends), st.tuples(st.just(""), st.just(""), line_ends)), max_size=30
    ),
    texts,
)


@given(streams, st.lists(st.integers(min_value=0, max_value=400)))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 10])
@example(MARK + b"data: a", [1, 2])
def test_the_frames_do_not_depend_on_where_the_bytes_are_cut(whole: bytes, cuts: list[int]) -> None:
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    pieces = [whole[start:stop] for start, stop in pairwise(places)]
    for readings in (read, read_to_end, read_limited):
        assert readings(*pieces) == readings(whole) == readings(*single_bytes(whole))


@given(streams)
def test_the_frames_follow_the_words_of_the_standard(whole: bytes) -> None:
    assert read(whole) == read_slowly(whole)


def read_slowly(whole: bytes) -> list[Frame]:
    """The standard's algorithm on the whole response, word for word."""
    lines = whole.removeprefix(MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
    frames: list[Frame] = []
    event, data, event_id = b"", b"", None
    for line in lines:
        name, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if line == b"":
            if data:
                frames.append(Frame(event, data[:-1], event_id))
            event, data, event_id = b"", b"", None
        elif name == b"event":
            event = value
        elif name == b"data":
            data += value + b"\n"
        elif name == b"id" and b"\0" not in value:
            event_id = value
    return frames
