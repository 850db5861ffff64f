"""Admits viewers while there is room, and disconnects those of private streams soon after the key or session that
admitted them was withdrawn."""

import asyncio
import logging
from weakref import WeakKeyDictionary

from fastapi import Request

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from gateway.access.authenticator import Authenticator
from gateway.access.caller import Caller
from gateway.access.permissions import Permission
from gateway.fanout.local_viewers import LocalViewers
from gateway.fanout.viewer import Viewer
from gateway.http.errors import ApiError

CHECK_INTERVAL_S = 2.0

logger = logging.getLogger(__name__)


class AdmittedViewers:
    """The viewers that own what they watch. Viewers with a ticket hear of its revocation through their feed."""

    def __init__(self, authenticator: Authenticator, local_viewers: LocalViewers) -> None:
        self._authenticator = authenticator
        self._local_viewers = local_viewers
        self._callers: WeakKeyDictionary[Viewer, Caller] = WeakKeyDictionary()

    async def has_room(self, request: Request, stream_id: str, permission: Permission | None) -> bool:
        """Whether this gateway accepts one more viewer. The last places are for callers, and for those whom a caller
        has given a ticket.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        is_stranger = permission is None and not await self.has_reserved_place(request, 1)
        return self._local_viewers.has_room(stream_id, is_stranger=is_stranger)

    async def has_reserved_place(self, request: Request, count: int) -> bool:
        """Whether a request for so many viewers may use reserved places. Finds out only if there are no others.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        if self._local_viewers.has_room(coming=count - 1, is_stranger=True):
            return False
        try:
            await self._authenticator.authenticate(request)
        except ApiError:
            return False
        return True

    def add(self, viewer: Viewer, permission: Permission | None) -> None:
        """`permission`: what admitted the viewer; None on a stream that everybody may watch."""
        if permission is None:
            return
        if permission.ticket is not None:
            viewer.ticket_round = permission.record.revoked
        owner = permission.owner
        # Other callers, such as this machine's operator, cannot be withdrawn.
        if owner is not None and (owner.key is not None or owner.session_id):
            self._callers[viewer] = owner

    async def run(self) -> None:
        """Checks until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            try:
                await self._check()
            except (BrokerUnavailableError, BrokerRefusedError) as error:
                # Disconnect nobody only because Redis fails. The next check decides.
                logger.debug("cannot check the sessions of viewers: %s", error)

    async def _check(self) -> None:
        """Asks once for all viewers of a key or session."""
        known: dict[tuple[str, str], bool] = {}
        for viewer, caller in list(self._callers.items()):
            credentials = (caller.identity, caller.session_id)
            if credentials not in known:
                known[credentials] = await self._authenticator.is_still_admitted(caller)
            if not known[credentials]:
                self._callers.pop(viewer, None)
                viewer.withdraw()
