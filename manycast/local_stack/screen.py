"""The terminal output of `up`: its own messages, and lines of its children with the child's name.

Not where a run's answer is shown: that is `answer.py`.
"""

from collections import defaultdict, deque
from functools import partial
from typing import TextIO

from manycast.local_stack.severity import LineFilter

LAST_LINES = 20


class Screen:
    """`news` gets the address, `notes` everything else. Writing to a closed terminal is no error."""

    def __init__(self, news: TextIO, notes: TextIO, verbose: bool) -> None:
        self._news = news
        self._notes = notes
        self._verbose = verbose
        self._filters: defaultdict[str, LineFilter] = defaultdict(LineFilter)
        # The last lines of each child; None for a line that was shown.
        self._last: defaultdict[str, deque[str | None]] = defaultdict(partial(deque, maxlen=LAST_LINES))

    def announce(self, sentence: str) -> None:
        _write(self._news, sentence)

    def note(self, sentence: str) -> None:
        _write(self._notes, sentence)

    def relay(self, name: str, line: str) -> None:
        """A line of a child: shown if it is urgent, or if all lines are wanted."""
        is_shown = self._filters[name].is_urgent(line) or self._verbose
        self._last[name].append(None if is_shown else line)
        if is_shown:
            _write(self._notes, _prefixed(name, line))

    def recall(self, name: str) -> None:
        """Shows the last lines of a dead child that were not shown before."""
        for line in filter(None, self._last.pop(name, ())):
            _write(self._notes, _prefixed(name, line))


def _prefixed(name: str, line: str) -> str:
    return f"{name:>9} | {line}"


def _write(out: TextIO, line: str) -> None:
    try:
        out.write(line + "\n")
        out.flush()
    except (OSError, ValueError):
        return
