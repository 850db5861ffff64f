"""Read a finished run's completion from its log, and make the response of it."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from contract.event import encode_json
from contract.position import START
from contract.stream_log import StreamLog
from gateway.runs.completion import CompletionFold


async def read_completion(log: StreamLog, stream_id: str) -> CompletionFold:
    """The folded log of a stream. Raises: BrokerUnavailableError, BrokerRefusedError, MalformedEventError."""
    fold = CompletionFold()
    async for event in log.read(stream_id, START):
        fold.add(event)
    return fold


def completion_response(completion: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """Not Starlette's JSONResponse, which cannot write a lone surrogate; providers may cut a text inside a pair."""
    return Response(encode_json(completion), headers=dict(headers), media_type="application/json")
