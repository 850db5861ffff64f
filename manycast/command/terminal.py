"""Where an answer is written: the text to standard output, every word about it to standard error.

Not what is said: that is `follow.py`.
"""

import os
import stat
from typing import TextIO

from manycast.client.answer import defang


class Terminal:
    """`out` takes the answer and nothing else; `notes` takes what is said about it. Either may be a terminal or not."""

    def __init__(self, out: TextIO, notes: TextIO) -> None:
        self._out = out
        self._notes = notes
        self._out_is_tty = out.isatty()
        self._notes_is_tty = notes.isatty()
        self._ends_line = True
        self._is_blank = True
        self._file_start = None if self._out_is_tty else _file_position(out)

    def write(self, text: str) -> None:
        """A piece of the answer, at once. Raises: BrokenPipeError where nobody reads any more."""
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
        """Undoes the text so far: in a file it is removed, on a terminal its line is ended. False: impossible."""
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

    def note(self, sentence: str) -> None:
        """A line of its own beside the answer."""
        line = defang(sentence.replace("\n", " ")) + "\n"
        if self._notes_is_tty:
            # In the middle of a line of the answer, on the same screen.
            line = f"{'' if self._ends_line or not self._out_is_tty else chr(10)}\x1b[2m{line[:-1]}\x1b[0m\n"
            self._ends_line = self._ends_line or self._out_is_tty
        self._notes.write(_encodable(line, self._notes))
        self._notes.flush()

    def prompt(self, question: str) -> None:
        """Leaves the cursor behind the question."""
        self._notes.write(question)
        self._notes.flush()

    def end_prompt(self) -> None:
        """Nobody has answered with the key that ends a line."""
        self._notes.write("\n")
        self._notes.flush()


def _encodable(text: str, out: TextIO) -> str:
    """Without what `out` cannot hold: a terminal of an older encoding gets question marks, never an error."""
    encoding = out.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding, "replace")


def _file_position(out: TextIO) -> int | None:
    """Where the answer begins in a plain file; None for anything that cannot be rewound."""
    try:
        status = os.fstat(out.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        # Appended to, a file is written at its end, wherever its position stands.
        return max(os.lseek(out.fileno(), 0, os.SEEK_CUR), 0) or status.st_size
    except (OSError, ValueError):
        return None
