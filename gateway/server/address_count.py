"""Counts the open connections of each client, so that one client cannot take all connections."""

from collections import Counter
from collections.abc import Callable


class AddressCount:
    """At most `limit` connections for each client; 0 means no limit.

    `client_of` names the client that a peer address belongs to. It returns None for an address without a limit, such as
    a proxy, whose connections belong to many clients.
    """

    def __init__(self, limit: int, client_of: Callable[[str], str | None]) -> None:
        self._limit = limit
        self._client_of = client_of
        self._open: Counter[str] = Counter()

    def client_of(self, address: str) -> str | None:
        """The client to count a connection from this address for; None if it is not counted."""
        return self._client_of(address) if self._limit else None

    def enter(self, client: str) -> bool:
        """Counts one more connection of the client. Returns False, and counts nothing, if it has as many as allowed."""
        if self._open[client] >= self._limit:
            return False
        self._open[client] += 1
        return True

    def leave(self, client: str) -> None:
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]
