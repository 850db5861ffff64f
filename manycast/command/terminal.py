"""Writes an answer: its text to standard output, everything else to standard error.

`follow.py` decides what to write.
"""

import os
import stat
from typing import TextIO

from contract.printable import defang, one_line

STATUS_LIMIT_CHARS = 4_000
"""A server or a model may have written a part of a message."""


class Terminal:
    """`out` gets the answer only; `notes` gets messages about it. Either may be a terminal, a file or a pipe.

    `styled`: whether messages on a terminal are dim.
    """

    def __init__(self, out: TextIO, notes: TextIO, *, styled: bool = True) -> None:
        self._out = out
        self._notes = notes
        self._styled = styled
        self._out_is_tty = out.isatty()
        self._notes_is_tty = notes.isatty()
        self._ends_line = True
        self._is_blank = True
        self._file_start = None if self._out_is_tty else _file_position(out)

    def write(self, text: str) -> None:
        """Writes a piece of the answer at once. Raises: BrokenPipeError if the reader has gone."""
        if not text:
            return
        self._out.write(_encodable(defang(text) if self._out_is_tty else text, self._out))
        self._out.flush()
        self._ends_line = text.endswith("\n")
        self._is_blank = False

    def end_line(self) -> None:
        if not self._ends_line:
            self.write("\n")

    def take_back(self) -> bool:
        """Removes the text so far from a file, or ends its line on a terminal. Returns False for a pipe."""
        if self._is_blank:
            return True
        if self._out_is_tty:
            self.end_line()
            return True
        if self._file_start is None:
            return False
        self._out.flush()
        os.ftruncate(self._out.fileno(), self._file_start)
        os.lseek(self._out.fileno(), self._file_start, os.SEEK_SET)
        self._ends_line = self._is_blank = True
        return True

    def print_status(self, sentence: str) -> None:
        """Writes a message on its own line, apart from the answer."""
        line = one_line(sentence, STATUS_LIMIT_CHARS) + "\n"
        if self._notes_is_tty:
            # The answer is in the middle of a line on the same screen.
            line = f"\x1b[2m{line[:-1]}\x1b[0m\n" if self._styled else line
            line = line if self._ends_line or not self._out_is_tty else f"\n{line}"
            self._ends_line = self._ends_line or self._out_is_tty
        self._notes.write(_encodable(line, self._notes))
        self._notes.flush()

    def prompt(self, question: str) -> None:
        """Writes a question and leaves the cursor behind it."""
        self._notes.write(question)
        self._notes.flush()

    def end_prompt(self) -> None:
        """Ends the line of a question that got no answer."""
        self._notes.write("\n")
        self._notes.flush()


def _encodable(text: str, out: TextIO) -> str:
    """Replaces characters that `out` cannot encode by question marks, so that an old terminal causes no error."""
    encoding = out.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding, "replace")


def _file_position(out: TextIO) -> int | None:
    """The offset of the answer in a plain file; None for anything that cannot be rewound."""
    try:
        status = os.fstat(out.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        # A file opened for appending is written at its end, whatever its position.
        return max(os.lseek(out.fileno(), 0, os.SEEK_CUR), 0) or status.st_size
    except (OSError, ValueError):
        return None
