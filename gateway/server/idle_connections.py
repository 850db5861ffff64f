"""The connections that wait for their next request. Where new connections have no place, they are closed first."""

from collections import defaultdict
from typing import Protocol


class IdleConnection(Protocol):
    """A connection that has had an answer."""

    def give_way(self) -> None:
        """Gives back its places in the counts of connections at once, and closes."""


class IdleConnections:
    """In the order in which they became idle."""

    def __init__(self) -> None:
        self._clients: dict[IdleConnection, str | None] = {}
        self._of_client: defaultdict[str, dict[IdleConnection, None]] = defaultdict(dict)

    def add(self, connection: IdleConnection, client: str | None) -> None:
        """`client`: the client for which `AddressCount` counts it; None if it does not."""
        self._clients[connection] = client
        if client is not None:
            self._of_client[client][connection] = None

    def remove(self, connection: IdleConnection) -> None:
        """Does nothing if it is not idle."""
        client = self._clients.pop(connection, None)
        if client is None:
            return
        del self._of_client[client][connection]
        if not self._of_client[client]:
            del self._of_client[client]

    def make_room(self, client: str | None = None) -> bool:
        """Closes the connection that has been idle for the longest time; with `client`, of those that are counted for
        it. Returns False if there is none."""
        idle = self._clients if client is None else self._of_client.get(client)
        if not idle:
            return False
        connection = next(iter(idle))
        self.remove(connection)
        connection.give_way()
        return True
