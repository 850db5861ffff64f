"""A finished run's completion, read from its log."""

from contract.position import START
from contract.stream_log import StreamLog
from gateway.completion import CompletionFold


async def read_completion(log: StreamLog, stream_id: str) -> CompletionFold:
    """Raises: BrokerUnavailableError, BrokerRefusedError, MalformedEventError."""
    fold = CompletionFold()
    async for event in log.read(stream_id, START):
        fold.add(event)
    return fold
