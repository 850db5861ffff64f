"""What happens to a run when its caller disconnects before the end: it continues, or it is cancelled."""

import asyncio
import logging
from typing import Literal

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.job_queue import JobQueue
from gateway.http.errors import ApiError

logger = logging.getLogger(__name__)

Policy = Literal["continue", "cancel"]
HEADER = "X-On-Disconnect"


class DisconnectPolicy:
    """Decides whether a run is cancelled when its caller disconnects, and cancels it. `default` applies to requests
    without the header X-On-Disconnect."""

    def __init__(self, queue: JobQueue, default: Policy) -> None:
        self._queue = queue
        self._default = default
        self._cancelling: set[asyncio.Task[None]] = set()

    def cancels(self, header: str | None) -> bool:
        """Whether a request with this header wants its run cancelled on disconnect. Raises: ApiError 400."""
        policy = self._default if header is None else header
        if policy not in ("continue", "cancel"):
            raise ApiError(400, "invalid_value", f"{HEADER} must be 'continue' or 'cancel'.", param=HEADER)
        return policy == "cancel"

    def cancel(self, stream_id: str) -> None:
        """Cancels the run in the background."""
        cancelling = asyncio.get_running_loop().create_task(self._cancel(stream_id))
        self._cancelling.add(cancelling)
        cancelling.add_done_callback(self._cancelling.discard)

    async def _cancel(self, stream_id: str) -> None:
        try:
            await self._queue.cancel(stream_id)
        except (BrokerUnavailableError, BrokerRefusedError) as error:
            logger.warning("stream %s: cannot cancel the run after its caller disconnected: %s", stream_id, error)
