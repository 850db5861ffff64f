"""What a native viewer reads."""

from gateway.dialects.native import NativeDialect
from gateway.fanout.replay_buffer import Slice


def test_an_event_moves_the_cursor() -> None:
    written = NativeDialect().write_event(b"1-2", b"chunk", b'{"choices":[]}')
    assert written == b'id: 1-2\nevent: chunk\ndata: {"choices":[]}\n\n'


def test_a_note_leaves_the_cursor_where_it_is() -> None:
    assert NativeDialect().write_notice(b"viewers", b'{"viewers":2}') == b'event: viewers\ndata: {"viewers":2}\n\n'


def test_a_lost_stream_is_told_as_its_end_without_an_id() -> None:
    written = NativeDialect().write_lost()
    assert written.startswith(b"event: done\ndata: {")
    assert b'"code":"stream_lost"' in written
    assert b"id:" not in written


def test_nothing_is_framed_as_nothing_so_that_the_body_goes_on() -> None:
    assert Slice(b"", 3).framed == b""
    assert Slice(b"data: x\n\n", 3).framed == b"9\r\ndata: x\n\n\r\n"
