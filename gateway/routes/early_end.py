"""Responses to viewers whom the gateway cannot accept at the moment."""

import random

from starlette.responses import Response

from contract.event import encode_json
from gateway.dialects.base import Dialect
from gateway.dialects.registry import DIALECTS
from gateway.http.errors import FULL_RETRY_AFTER_S, ApiError, too_many_viewers
from gateway.routes.new_viewer import RETRY_MS


def answer_full(dialect: Dialect) -> Response:
    """The response if there is no room for another viewer. Raises: ApiError 503 for clients that do not resume."""
    if not dialect.resumes:
        raise too_many_viewers()
    body = dialect.write_retry(choose_full_retry_ms()) + dialect.write_notice(b"ping", encode_json({"state": "full"}))
    return Response(body, headers=dict(dialect.headers))


def choose_full_retry_ms() -> int:
    """When a viewer for whom there is no room asks again. Random, so that they do not all return at once."""
    return round(FULL_RETRY_AFTER_S * random.uniform(500, 1500))  # noqa: S311 - a delay is no secret


def end_at_once(dialect: str, error: ApiError) -> Response:
    """The response to a temporary error. `EventSource` gives up for good on any status except 200, so clients that
    resume get a 200 that says when to reconnect. Raises: `error` for other clients."""
    encoder = DIALECTS[dialect]()
    if not encoder.resumes:
        raise error
    return Response(encoder.write_retry(RETRY_MS), headers=dict(encoder.headers))
