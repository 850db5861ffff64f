"""What the log says of a script that has failed: the author's line, and not the frames of ours around it."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from manycast.script import Script

_HINTS: dict[type[BaseException], str] = {
    EOFError: ". A worker has no keyboard: ask people with `await run.input(…)`",
}


def describe_fault(error: BaseException, script: Script[Any]) -> str:
    """The last line of the author's files, or else that of the script, and the error."""
    frames = [frame for frame in _frames(error.__traceback__) if _is_of_author(frame, script)]
    place = f"{frames[-1].tb_frame.f_code.co_filename}, line {frames[-1].tb_lineno}" if frames else script.place
    return f"{place}: {type(error).__name__}: {error}{_HINTS.get(type(error), '')}"


def author_traceback(error: BaseException, script: Script[Any]) -> TracebackType | None:
    """The traceback from the first line in the author's files on; all of it if none is there."""
    own = (frame for frame in _frames(error.__traceback__) if _is_of_author(frame, script))
    return next(own, error.__traceback__)


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_of_author(frame: TracebackType, script: Script[Any]) -> bool:
    file = Path(frame.tb_frame.f_code.co_filename)
    return Path(script.file).parent in file.parents and "site-packages" not in file.parts
