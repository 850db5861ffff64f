"""Stream ids as they come in paths, and the addresses of a stream. Pure: no I/O."""

from contract.stream_id import is_private, is_stream_id
from gateway.http.errors import ApiError


def check_stream_id(stream_id: str) -> str:
    """Raises: ApiError 400."""
    if not is_stream_id(stream_id):
        raise ApiError(400, "invalid_stream_id", f"'{stream_id[:64]}' is not a stream id.", param="id")
    return stream_id


def no_such_stream(stream_id: str) -> ApiError:
    return ApiError(404, "stream_not_found", f"There is no stream '{stream_id}', or it has expired.", param="id")


def urls_of(stream_id: str, *, view: str | None = None, control: str | None = None) -> dict[str, str]:
    """Where the stream is found, relative to the host: only the caller knows under which name it reached us.

    `view` and `control` are tickets that the addresses are to carry; what needs none carries none.
    """
    stream = f"/v1/streams/{stream_id}"
    seen = f"?ticket={view}" if view and is_private(stream_id) else ""
    controlled = f"?ticket={control}" if control else ""
    return {
        "events": f"{stream}/events{seen}",
        "status": f"{stream}{seen}",
        "completion": f"{stream}/completion{seen}",
        "cancel": f"{stream}/cancel{controlled}",
        # No server is told what follows `#`.
        "page": f"/watch#{stream_id}.{view}" if seen else f"/watch#{stream_id}",
    }
