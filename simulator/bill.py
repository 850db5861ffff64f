"""A line for each answered call in a file, which outlives the process: what a real provider would bill."""

import json
from hashlib import sha256
from typing import IO, Any

from simulator.tally import Ending

DIGEST_CHARS = 16


class Bill:
    """Appends to `file`; None keeps no bill. A refused call costs nothing, and neither does one that is still open when
    the process ends."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file

    def add(self, model: str, user: str | None, ending: Ending, body: bytes) -> None:
        """Returns when the operating system has the line. `body` is that of the request."""
        if self._file is not None:
            messages = json.loads(body).get("messages")
            digest = None if messages is None else digest_messages(messages)
            told = {"model": model, "user": user, "ending": ending.value, "messages": digest}
            self._file.write(json.dumps(told).encode() + b"\n")


def digest_messages(messages: Any) -> str:
    """Equal for calls that ask the same."""
    return sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()[:DIGEST_CHARS]
