"""Counts how often the same request was refused. No I/O, no clock."""

import hashlib
from collections import OrderedDict

MOST_REMEMBERED = 10_000


class Refusals:
    """Requests with the same bytes count as the same request.

    After its last refusal, a request is accepted and forgotten: the next one is refused again. Tests that run at the
    same time must send different bodies, for example with OpenAI's `user` field.
    """

    def __init__(self) -> None:
        self._left: OrderedDict[bytes, int] = OrderedDict()

    def refuse(self, body: bytes, failures: int) -> bool:
        """Returns True `failures` times in a row for the same request, and then False."""
        key = hashlib.sha256(body).digest()
        left = self._left.pop(key, failures)
        if left == 0:
            return False
        self._left[key] = left - 1
        if len(self._left) > MOST_REMEMBERED:
            self._left.popitem(last=False)
        return True
