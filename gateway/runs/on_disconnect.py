"""What becomes of a run whose client goes away before its end: it runs on, or it is cancelled."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Literal

from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.job_queue import JobQueue
from contract.log_redaction import abbreviate
from gateway.http.errors import ApiError

logger = logging.getLogger(__name__)

Policy = Literal["continue", "cancel"]
HEADER = "X-On-Disconnect"


class DisconnectPolicy:
    """Cancels in the background: whoever leaves does not wait."""

    def __init__(self, queue: JobQueue, otherwise: Policy) -> None:
        self._queue = queue
        self._otherwise = otherwise
        self._cancelling: set[asyncio.Task[None]] = set()

    def cancels(self, headers: Mapping[str, str]) -> bool:
        """Whether this client's run is to end with its connection. Raises: ApiError 400."""
        policy = headers.get(HEADER, self._otherwise)
        if policy not in ("continue", "cancel"):
            raise ApiError(400, "invalid_value", f"{HEADER} must be 'continue' or 'cancel'.", param=HEADER)
        return policy == "cancel"

    def cancel(self, stream_id: str) -> None:
        """Asks for it and returns at once."""
        cancelling = asyncio.get_running_loop().create_task(self._cancel(stream_id))
        self._cancelling.add(cancelling)
        cancelling.add_done_callback(self._cancelling.discard)

    async def _cancel(self, stream_id: str) -> None:
        try:
            await self._queue.cancel(stream_id)
        except (BrokerUnavailableError, BrokerRefusedError) as error:
            logger.warning("stream %s runs on though its client has gone: %s", abbreviate(stream_id), error)
