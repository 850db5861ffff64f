"""A finished run's completion, read from its log, and how it is answered."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from contract.event import encode_json
from contract.position import START
from contract.stream_log import StreamLog
from gateway.runs.completion import CompletionFold


async def read_completion(log: StreamLog, stream_id: str) -> CompletionFold:
    """Raises: BrokerUnavailableError, BrokerRefusedError, MalformedEventError."""
    fold = CompletionFold()
    async for event in log.read(stream_id, START):
        fold.add(event)
    return fold


def completion_response(completion: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """Not Starlette's JSONResponse: that cannot write half a surrogate pair, where a provider cut one."""
    return Response(encode_json(completion), headers=dict(headers), media_type="application/json")
