"""Read a finished run's completion from its log."""

from contract.position import START
from contract.stream_log import StreamLog
from gateway.runs.completion import CompletionFold


async def read_completion(log: StreamLog, stream_id: str) -> CompletionFold:
    """The folded log of a stream. Raises: BrokerUnavailableError, BrokerRefusedError, MalformedEventError."""
    fold = CompletionFold()
    async for event in log.read(stream_id, START):
        fold.add(event)
    return fold
