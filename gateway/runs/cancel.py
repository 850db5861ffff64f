"""Cancel a run, and wait a moment for its end."""

import asyncio

from contract.connection import Client
from contract.job_queue import JobQueue
from contract.run_record import read_run

CANCEL_WAIT_S = 2.0
CANCEL_POLL_S = 0.05


async def cancel_run(client: Client, queue: JobQueue, stream_id: str) -> str | None:
    """Returns the final status, or `cancelling` if the run has not ended after a short wait; None if it has expired.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    answer: str | None = await queue.cancel(stream_id)
    for _ in range(round(CANCEL_WAIT_S / CANCEL_POLL_S)):
        if answer != "cancelling":
            break
        await asyncio.sleep(CANCEL_POLL_S)
        record = await read_run(client, stream_id)
        if record is None or record.status.is_final:
            answer = None if record is None else str(record.status)
    return answer
