"""Answers that wait in the middle until they are released. No sockets."""

import asyncio


class Holds:
    """The answers of a process that wait, or will."""

    def __init__(self) -> None:
        self._released = asyncio.Event()

    def begin(self) -> asyncio.Event:
        """What an answer that begins now waits for."""
        return self._released

    def release(self) -> None:
        """Lets every answer go on that has begun, also one that has not come to its hold yet."""
        self._released.set()
        self._released = asyncio.Event()
