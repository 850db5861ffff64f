"""What happens to a run when its caller disconnects before the end. docs/protocol.md, section 9, specifies it.

A closed connection is all that a client of OpenAI's API sends to stop an answer, and it also closes when its network
fails. So a run goes on for some time, in which the caller may repeat its request, and after that only for a viewer.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Literal, cast, get_args

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.job_queue import JobQueue
from gateway.http.errors import ApiError

logger = logging.getLogger(__name__)

Policy = Literal["continue", "cancel", "unwatched"]
"""The run continues; it is cancelled at once; or it is cancelled unless somebody watches it some time later."""
HEADER = "X-On-Disconnect"


class DisconnectPolicy:
    """Decides what happens to a run whose caller disconnects, and does it. `default` applies to requests without the
    header X-On-Disconnect. `unwatched` cancels a run that nobody watches `abandon_after_s` later."""

    def __init__(self, queue: JobQueue, default: Policy, abandon_after_s: float) -> None:
        self._queue = queue
        self._default = default
        self._abandon_after_ms = max(1, round(abandon_after_s * 1000))
        self._leaving: set[asyncio.Task[None]] = set()

    def choose(self, header: str | None, *, may_return: bool) -> Policy:
        """The policy of a request with this header. `may_return`: its caller can find the run again at any time.

        Raises: ApiError 400.
        """
        if header is None:
            return "continue" if may_return and self._default == "unwatched" else self._default
        if header not in get_args(Policy):
            text = f"{HEADER} must be 'continue', 'cancel' or 'unwatched'."
            raise ApiError(400, "invalid_value", text, param=HEADER)
        return cast(Policy, header)

    def when_gone(self, stream_id: str, policy: Policy) -> Callable[[], None] | None:
        """A function to call when the caller has disconnected. None if the run then continues."""
        if policy == "continue":
            return None
        return partial(self._leave, stream_id, policy)

    def _leave(self, stream_id: str, policy: Policy) -> None:
        leaving = asyncio.get_running_loop().create_task(self._tell(stream_id, policy))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _tell(self, stream_id: str, policy: Policy) -> None:
        try:
            if policy == "cancel":
                await self._queue.cancel(stream_id)
            else:
                await self._queue.leave(stream_id, self._abandon_after_ms)
        except (BrokerUnavailableError, BrokerRefusedError) as error:
            logger.warning("stream %s: cannot stop the run after its caller disconnected: %s", stream_id, error)
