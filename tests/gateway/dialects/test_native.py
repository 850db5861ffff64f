"""What a native viewer reads."""

from contract.sse import Frame, FrameReader
from gateway.dialects.native import NativeDialect
from gateway.fanout.replay_buffer import Slice
from gateway.http.run_errors import STREAM_LOST


def test_an_event_moves_the_cursor_with_its_last_line() -> None:
    written = NativeDialect().write_event(b"1-2", b"chunk", b'{"choices":[]}')
    assert written == b'event: chunk\ndata: {"choices":[]}\nid: 1-2\n\n'


def test_a_reconnect_time_is_a_line_of_the_next_event() -> None:
    dialect = NativeDialect()
    (frame,) = (reader := FrameReader()).feed(dialect.write_retry(250) + dialect.write_notice(b"ping", b"{}"))
    assert (frame, reader.retry_ms) == (Frame(b"ping", b"{}", None), 250)


def test_a_reconnect_time_at_the_end_of_a_response_holds_without_an_event() -> None:
    assert list((reader := FrameReader()).feed(NativeDialect().write_retry(250))) == []
    assert reader.retry_ms == 250


def test_a_note_leaves_the_cursor_where_it_is() -> None:
    assert NativeDialect().write_notice(b"viewers", b'{"viewers":2}') == b'event: viewers\ndata: {"viewers":2}\n\n'


def test_a_lost_stream_is_told_as_its_end_without_an_id() -> None:
    written = NativeDialect().write_lost(STREAM_LOST)
    assert written.startswith(b"event: done\ndata: {")
    assert b'"code":"stream_lost"' in written
    assert b"id:" not in written


def test_nothing_is_framed_as_nothing_so_that_the_body_goes_on() -> None:
    assert Slice(b"", 3).framed == b""
    assert Slice(b"data: x\n\n", 3).framed == b"9\r\ndata: x\n\n\r\n"
