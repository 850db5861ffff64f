"""Warns about scripts that block the event loop. All runs of the worker wait meanwhile, and no lease is renewed."""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from worker.scripts.loader import Scripts

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
BLOCKED_S = 1.0


class LoopWatch:
    """A thread that checks whether its creator's event loop still runs. It warns only about code in the folders of
    scripts."""

    def __init__(self, scripts: Scripts) -> None:
        self._folders = tuple({f"{Path(script.file).parent}/" for script in scripts.values()})
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._turned_at = time.monotonic()
        self._has_told = False
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        watcher = threading.Thread(target=self._watch, name="loop watch", daemon=True)
        if self._folders:
            watcher.start()
        try:
            yield
        finally:
            self._over.set()

    def _watch(self) -> None:
        self._ask()
        while not self._over.wait(LOOK_EVERY_S):
            if time.monotonic() - self._turned_at < BLOCKED_S:
                self._has_told = False
            elif not self._has_told:
                self._tell()

    def _ask(self) -> None:
        if not self._over.is_set() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._note_turn)

    def _note_turn(self) -> None:
        self._turned_at = time.monotonic()
        self._loop.call_later(LOOK_EVERY_S, self._note_turn)

    def _tell(self) -> None:
        frame: FrameType | None = sys._current_frames().get(self._thread)
        while frame is not None and not frame.f_code.co_filename.startswith(self._folders):
            frame = frame.f_back
        if frame is not None:
            self._has_told = True
            place = f"{frame.f_code.co_name} ({frame.f_code.co_filename}, line {frame.f_lineno})"
            text = "%s has blocked this worker for %g s: all its runs wait. Await what takes long, or make a tool of it"
            logger.warning(text, place, BLOCKED_S)
