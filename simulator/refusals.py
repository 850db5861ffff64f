"""How often the same request was refused already. Pure: no I/O, no clock."""

import hashlib
from collections import OrderedDict

MOST_REMEMBERED = 10_000


class Refusals:
    """Requests with the same bytes are the same request: a retry is one, and so is asking again.

    After the last refusal a request is let in and forgotten, so that the next one begins anew. Tests that run
    at once keep apart by any difference in the body, for which OpenAI's `user` field is the natural place.
    """

    def __init__(self) -> None:
        self._left: OrderedDict[bytes, int] = OrderedDict()

    def refuse(self, body: bytes, failures: int) -> bool:
        """True while this request is to be refused, which it is `failures` times in a row."""
        key = hashlib.sha256(body).digest()
        left = self._left.pop(key, failures)
        if left == 0:
            return False
        self._left[key] = left - 1
        if len(self._left) > MOST_REMEMBERED:
            self._left.popitem(last=False)
        return True
