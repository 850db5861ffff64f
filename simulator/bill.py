"""A line for each answered call in a file, which outlives the process: what a real provider would bill."""

import json
from typing import IO

from simulator.tally import Ending


class Bill:
    """Appends to `file`; None keeps no bill. A refused call costs nothing, and neither does one that is still open when
    the process ends."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file

    def add(self, model: str, user: str | None, ending: Ending) -> None:
        """Returns when the operating system has the line."""
        if self._file is not None:
            self._file.write(json.dumps({"model": model, "user": user, "ending": ending.value}).encode() + b"\n")
