"""Stream ids as they come in paths, and the addresses of a stream. Pure: no I/O."""

from contract.keys import is_stream_id
from gateway.api_error import ApiError


def check_stream_id(stream_id: str) -> str:
    """Raises: ApiError 400."""
    if not is_stream_id(stream_id):
        raise ApiError(400, "invalid_stream_id", f"'{stream_id[:64]}' is not a stream id.", param="id")
    return stream_id


def no_such_stream(stream_id: str) -> ApiError:
    return ApiError(404, "stream_not_found", f"There is no stream '{stream_id}', or it has expired.", param="id")


def urls_of(stream_id: str) -> dict[str, str]:
    """Where the stream is found, relative to the host: only the caller knows under which name it reached us."""
    stream = f"/v1/streams/{stream_id}"
    return {
        "events": f"{stream}/events",
        "status": stream,
        "completion": f"{stream}/completion",
        "cancel": f"{stream}/cancel",
        "page": f"/watch#{stream_id}",
    }
