"""Decides which lines of a child's log a person must see. No I/O.

A line that names no level belongs to the line before it: the lines of a traceback to their error.
"""

import re

# The level comes first, or after a time and a logger's name.
_LEVEL = re.compile(r"^.{0,60}?\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_QUIET = frozenset({"DEBUG", "INFO"})
# Valkey's own form: `123:M 01 Jan 2026 10:00:00.000 # text`; # is a warning, the other marks are not.
_VALKEY = re.compile(r"^\d+:[A-Z] .{10,30} ([#*.-]) (.*)")
# Valkey's farewell, and its advice for dedicated servers, which is useless on a laptop.
_IDLE = re.compile(r".*ready to exit|WARNING:? (Memory overcommit|You have Transparent Huge Pages|The TCP backlog)")


class LineFilter:
    """Classifies the lines of one child, in order."""

    def __init__(self) -> None:
        self._urgent = False

    def is_urgent(self, line: str) -> bool:
        """Whether the line is a warning or worse, or continues one. A first line without a level is not urgent."""
        if mark := _VALKEY.match(line):
            self._urgent = mark[1] == "#" and not _IDLE.match(mark[2])
        elif level := _LEVEL.match(line):
            self._urgent = level[1] not in _QUIET
        return self._urgent
