"""The terminal output of `up`: its own messages, and log lines of its children with the child's name."""

from collections import defaultdict, deque
from functools import partial
from typing import TextIO

from contract.printable import defang
from manycast.local_stack.log_filter import LineFilter

LAST_LINES = 20
WORKER = "worker"
"""Its first lines may be those of scripts, which print while they are imported."""


class Screen:
    """`out` gets the address, `messages` everything else. Writing to a closed terminal raises nothing."""

    def __init__(self, out: TextIO, messages: TextIO, verbose: bool) -> None:
        self._out = out
        self._messages = messages
        self._verbose = verbose
        self._filters = defaultdict(LineFilter, {WORKER: LineFilter(says_how_it_starts=False)})
        # The last lines of each child; None stands for a line that was already shown.
        self._last: defaultdict[str, deque[str | None]] = defaultdict(partial(deque, maxlen=LAST_LINES))

    def announce(self, sentence: str) -> None:
        _write(self._out, sentence)

    def print_status(self, sentence: str) -> None:
        _write(self._messages, sentence)

    def relay(self, name: str, line: str) -> None:
        """Shows a line of a child if it is urgent or `verbose` is set."""
        is_shown = self._filters[name].is_urgent(line) or self._verbose
        self._last[name].append(None if is_shown else line)
        if is_shown:
            _write(self._messages, _prefixed(name, line))

    def show_last_lines(self, name: str) -> None:
        """Shows those of a dead child's last lines that were not shown before."""
        for line in filter(None, self._last.pop(name, ())):
            _write(self._messages, _prefixed(name, line))


def _prefixed(name: str, line: str) -> str:
    return f"{name:>9} | {line}"


def _write(out: TextIO, line: str) -> None:
    try:
        out.write(defang(line) + "\n")
        out.flush()
    except (OSError, ValueError):
        return
