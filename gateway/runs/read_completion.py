"""Read a finished run's completion from its log."""

from contract.event import encode_json
from contract.position import Position
from contract.stream_log import StreamLog
from gateway.runs.completion import CompletionFold
from gateway.runs.completion_cache import FoldedRun


async def read_completion(log: StreamLog, stream_id: str, end: Position) -> CompletionFold:
    """The folded log of a stream that ended at the position `end`. Raises: as `StreamLog.read_ended`."""
    fold = CompletionFold()
    async for event in log.read_ended(stream_id, end):
        fold.add(event)
    return fold


async def fold_completion(log: StreamLog, stream_id: str, end: Position) -> FoldedRun:
    """Its `chat.completion`, encoded. Raises: as `read_completion`."""
    fold = await read_completion(log, stream_id, end)
    return FoldedRun(None if fold.is_empty else encode_json(fold.result()), fold.done or {})
