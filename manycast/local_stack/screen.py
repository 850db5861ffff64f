"""What `up` writes to its terminal: its own sentences, and the lines of its children, each with the child's name.

Not where a run's answer is shown: that is `answer.py`.
"""

from collections import defaultdict, deque
from functools import partial
from typing import TextIO

from manycast.local_stack.severity import LineFilter

LAST_LINES = 20


class Screen:
    """`news` takes the one address, `notes` all else. To write to a terminal that was closed is in vain, no error."""

    def __init__(self, news: TextIO, notes: TextIO, verbose: bool) -> None:
        self._news = news
        self._notes = notes
        self._verbose = verbose
        self._filters: defaultdict[str, LineFilter] = defaultdict(LineFilter)
        # The last lines of each child, None in place of one that was shown already.
        self._last: defaultdict[str, deque[str | None]] = defaultdict(partial(deque, maxlen=LAST_LINES))

    def announce(self, sentence: str) -> None:
        _write(self._news, sentence)

    def note(self, sentence: str) -> None:
        _write(self._notes, sentence)

    def relay(self, name: str, line: str) -> None:
        """A line of a child: shown if it is urgent, or everything is wanted."""
        is_shown = self._filters[name].is_urgent(line) or self._verbose
        self._last[name].append(None if is_shown else line)
        if is_shown:
            _write(self._notes, _prefixed(name, line))

    def recall(self, name: str) -> None:
        """Those of the last lines of a child that has died which were not shown before."""
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
