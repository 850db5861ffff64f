"""Selects the lines of a child's log that `up` shows: warnings, errors and what scripts print. No I/O.

An indented line belongs to the line before it, as in a traceback. Any other line without a level is shown: it ends a
traceback, a script has printed it, or Python warns.
"""

import re

# The level is at the start, or follows a time and the name of a logger. An indented line is part of a traceback.
_LEVEL = re.compile(r"^(?!\s).{0,60}?\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_QUIET = frozenset({"DEBUG", "INFO"})
# Valkey's format: `123:M 01 Jan 2026 10:00:00.000 # text`; # marks a warning, the other characters do not.
_VALKEY = re.compile(r"^\d+:[A-Z] .{10,30} ([#*.-]) (.*)")
# Warnings of Valkey to hide: its last line before it exits, and its advice for dedicated servers.
_HIDDEN = re.compile(r".*ready to exit|WARNING:? (Memory overcommit|You have Transparent Huge Pages|The TCP backlog)")


class LineFilter:
    """Classifies the lines of one child. Call `is_urgent` for each line, in order.

    `says_how_it_starts`: whether the child's lines before the first one with a level are its own.
    """

    def __init__(self, *, says_how_it_starts: bool = True) -> None:
        self._urgent = not says_how_it_starts
        self._has_level = not says_how_it_starts

    def is_urgent(self, line: str) -> bool:
        """Whether the line is a warning or error, or continues one, or was printed. Not urgent are lines with which
        a program says how it starts."""
        if mark := _VALKEY.match(line):
            self._urgent = mark[1] == "#" and not _HIDDEN.match(mark[2])
        elif level := _LEVEL.match(line):
            self._has_level = True
            self._urgent = level[1] not in _QUIET
        elif self._has_level and line and not line[0].isspace():
            self._urgent = True
        return self._urgent
