"""Read a finished run's completion from its log."""

from contract.position import Position
from contract.stream_log import StreamLog
from gateway.runs.completion import CompletionFold


async def read_completion(log: StreamLog, stream_id: str, end: Position) -> CompletionFold:
    """The folded log of a stream that ended at the position `end`. Raises: as `StreamLog.read_ended`."""
    fold = CompletionFold()
    async for event in log.read_ended(stream_id, end):
        fold.add(event)
    return fold
