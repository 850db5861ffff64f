"""What a viewer takes, and in which order."""

import pytest

from contract.errors import BrokerUnavailableError
from contract.event import MalformedEventError
from contract.live import LiveEvents
from gateway.dialects.native import NativeDialect
from gateway.dialects.text import TextDialect
from gateway.fanout.feed import Feed
from gateway.fanout.replay_buffer import Slice
from gateway.fanout.viewer import Viewer


def long_feed(events: int, limit_bytes: int) -> tuple[Feed, list[bytes]]:
    """A feed whose memory reaches back `limit_bytes`, and all that was ever written to it."""
    feed = Feed("x" * 22, NativeDialect(), limit_bytes)
    written = []
    for seq in range(1, events + 1):
        text = b"%d" % seq
        entry = (b"1-%d" % seq, b"chunk", b'{"n":%b}' % text)
        feed.receive_batch(LiveEvents(b"1-%d" % (seq - 1) if seq > 1 else b"0-0", [entry]))
        written.append(NativeDialect().write_event(*entry))
    return feed, written


async def test_notices_come_before_events_from_a_history_page() -> None:
    feed, written = long_feed(events=100, limit_bytes=1000)
    assert feed.buffer.begin > 0

    async def read_page(_: Feed, index: int) -> Slice:
        return Slice(b"".join(written[index : feed.buffer.begin]), feed.buffer.begin)

    viewer = Viewer(feed, 0, b"event: gap\ndata: {}\n\n", read_page)
    assert viewer.is_behind
    given = (await viewer.take_page()).body
    while due := viewer.take():
        given += due.body
    assert given == b"event: gap\ndata: {}\n\n" + b"".join(written)


async def test_viewers_at_the_same_index_get_the_same_object() -> None:
    feed, _written = long_feed(events=10, limit_bytes=1 << 20)

    async def read_page(_: Feed, index: int) -> Slice:
        raise AssertionError(f"memory holds {index}")

    viewers = [Viewer(feed, 0, b"", read_page) for _ in range(3)]
    for viewer in viewers:
        viewer.take()
    feed.receive_batch(LiveEvents(b"1-10", [(b"1-11", b"chunk", b"{}")]))
    given = [viewer.take() for viewer in viewers]
    framed = [taken.framed for taken in given if taken]
    assert len(framed) == len(viewers)
    assert framed[0] is framed[1] is framed[2]


@pytest.mark.parametrize(
    ("error", "words"),
    [(MalformedEventError("a hole"), b"has lost this stream"), (BrokerUnavailableError("gone"), b"right now")],
)
async def test_a_client_that_cannot_resume_is_told_why_its_page_cannot_be_read(error: Exception, words: bytes) -> None:
    async def read_page(_: Feed, index: int) -> Slice:
        raise error

    viewer = Viewer(Feed("x" * 22, TextDialect(), 1000), 0, b"", read_page)
    assert words in (await viewer.take_page()).body
    assert viewer.take() is None
