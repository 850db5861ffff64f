"""The security log: one line for each decision about access, for operators and programs such as fail2ban.

A line says what happened, to whom and why, never a secret. docs/operations.md describes it.
"""

import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from starlette.requests import HTTPConnection

from contract.printable import shorten

NAME = "manycast.security"
LINES_PER_MINUTE = 30
"""How many lines of one kind about one address are written in a minute. Metrics count all decisions."""
ADDRESSES_LIMIT = 10_000
"""How many pairs of a kind and an address are counted in a minute. When there are more, no line is written until it
ends."""
VALUE_LIMIT_CHARS = 200

logger = logging.getLogger(NAME)


class Kind(StrEnum):
    """What was decided."""

    REFUSED_KEY = "refused_key"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - the name of a decision
    REFUSED_ADDRESS = "refused_address"
    REFUSED_ORIGIN = "refused_origin"
    REFUSED_HOST = "refused_host"
    NOT_FROM_PROXY = "not_from_proxy"
    FORGED_TICKET = "forged_ticket"
    EXPIRED_TICKET = "expired_ticket"
    REVOKED_TICKET = "revoked_ticket"
    REFUSED_TICKET = "refused_ticket"
    SIGN_IN = "sign_in"
    SIGN_OUT = "sign_out"
    REVOCATION = "revocation"
    KEYS_RELOADED = "keys_reloaded"
    LIMIT_REACHED = "limit_reached"


LIMITS = frozenset(
    {
        "too_many_runs",
        "queue_full",
        "storage_full",
        "storage_limit_exceeded",
        "gateway_busy",
        "too_many_viewers",
        "too_many_connections",
    }
) | {"too_many_pipelined_requests"}
"""The codes of errors that say that a limit was reached."""


class SecurityLog:
    """`address_of` names the client of a request. `count` is called for each decision. `clock` in seconds."""

    def __init__(
        self,
        address_of: Callable[[HTTPConnection], str],
        count: Callable[[Kind], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address_of = address_of
        self._count = count
        self._clock = clock
        self._minute = 0
        self._lines: Counter[tuple[Kind, str]] = Counter()
        self._left_out = 0
        # The lines must not depend on MANYCAST_LOG_LEVEL.
        logger.setLevel(logging.INFO)

    def note(self, kind: Kind, request: HTTPConnection, reason: str, *, caller: str = "", stream: str = "") -> None:
        """One decision about a request. The same one is noted once for each request, however often it is taken."""
        noted: set[tuple[Kind, str]] | None = getattr(request.state, "noted_decisions", None)
        if noted is None:
            noted = request.state.noted_decisions = set()
        if (kind, reason) not in noted:
            noted.add((kind, reason))
            self.note_address(kind, self._address_of(request), reason, caller=caller, stream=stream)

    def note_address(self, kind: Kind, address: str, reason: str, *, caller: str = "", stream: str = "") -> None:
        """One decision about a client at `address`; "" if it is about no client."""
        self._count(kind)
        minute = int(self._clock() // 60)
        if minute != self._minute:
            if self._left_out:
                logger.info("left_out=%d", self._left_out)
            self._minute, self._left_out = minute, 0
            self._lines.clear()
        place = (kind, address)
        if self._lines[place] >= LINES_PER_MINUTE or len(self._lines) > ADDRESSES_LIMIT:
            self._left_out += 1
            return
        self._lines[place] += 1
        fields = {"kind": kind.value, "address": address, "caller": caller, "reason": reason}
        if stream:
            fields["stream"] = stream
        logger.info("%s", " ".join(f"{name}={_write(value)}" for name, value in fields.items()))


_PLAIN = re.compile(r"[A-Za-z0-9._:/@*-]+")


def _write(value: str) -> str:
    """The value as it is, or as a JSON string: nobody can write a field of their own into a line."""
    if not value:
        return "-"
    value = shorten(value, VALUE_LIMIT_CHARS)
    return value if _PLAIN.fullmatch(value) else json.dumps(value)
