"""Hands the bytes of a response over as they arrive, before the task that reads them wakes up.

To wake a task for each piece, through all generators between the connection and the log, takes several times as long as
to write a usual chunk.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import aiohttp
import httpx2


@contextmanager
def taking_directly(response: httpx2.Response, take: Callable[[bytes], bool]) -> Iterator[None]:
    """Inside the block, `take` gets each piece of the body that arrives while a task waits for it and has read all
    pieces before. If it returns False, the task gets the piece.

    Does nothing for a compressed response, or if aiohttp does not read it.
    """
    reader = None if is_compressed(response) else _reader_of(response)
    if reader is None:
        yield
        return
    timer = reader._timer
    direct: Any = _TimerAndTaker(timer, take)
    reader._timer = direct
    reader._http_chunk_splits = None
    reader.__class__ = _DirectReader
    try:
        yield
    finally:
        reader._timer = timer


def is_compressed(response: httpx2.Response) -> bool:
    return response.headers.get("content-encoding", "identity") != "identity"


def _reader_of(response: httpx2.Response) -> aiohttp.StreamReader | None:
    """aiohttp's reader, beneath the streams of httpx2 and the SDK. They have no public way to it."""
    sent = getattr(response.stream, "_stream", None)
    reader = getattr(getattr(sent, "_aiohttp_response", None), "content", None)
    return reader if type(reader) is aiohttp.StreamReader else None


class _TimerAndTaker:
    """Takes the place of a reader's timer, because a reader has no room for an attribute of ours."""

    __slots__ = ("_timer", "take")

    def __init__(self, timer: Any, take: Callable[[bytes], bool]) -> None:
        self._timer = timer
        self.take = take

    def assert_timeout(self) -> None:
        self._timer.assert_timeout()

    def __enter__(self) -> None:
        self._timer.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        return self._timer.__exit__(kind, error, trace)


class _DirectReader(aiohttp.StreamReader):
    """The class that a reader of aiohttp gets. aiohttp cannot be told to use another class from the start."""

    __slots__ = ()

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        waiter = self._waiter
        if waiter is not None and not self._buffer and not waiter.done():
            timer: Any = self._timer
            if type(timer) is _TimerAndTaker and timer.take(data):
                return False
        return super().feed_data(data, size)

    # Nobody asks this reader where the chunks of HTTP end.
    def begin_http_chunk_receiving(self) -> None:
        pass

    def end_http_chunk_receiving(self) -> None:
        pass
