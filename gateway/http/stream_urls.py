"""Stream ids in request paths, and the URLs of a stream. No I/O."""

from contract.stream_id import is_private, is_stream_id
from gateway.http.errors import ApiError
from gateway.http.models import ResponseBody


class Urls(ResponseBody):
    """Relative URLs of a stream."""

    events: str
    status: str
    completion: str
    cancel: str
    page: str


def check_stream_id(stream_id: str) -> str:
    """Returns `stream_id`. Raises: ApiError 400 if it is malformed."""
    if not is_stream_id(stream_id):
        raise ApiError(400, "invalid_stream_id", f"'{stream_id[:64]}' is not a stream id.", param="id")
    return stream_id


def no_such_stream(stream_id: str) -> ApiError:
    """The 404 for a stream that never existed or has expired."""
    return ApiError(404, "stream_not_found", f"There is no stream '{stream_id}', or it has expired.", param="id")


def urls_of(stream_id: str, prefix: str, *, view: str | None = None, control: str | None = None) -> Urls:
    """The stream's URLs, relative to the host: only the caller knows the host name by which it reaches us.

    `prefix` is the path under which a proxy publishes this gateway. `view` and `control` are tickets; the URLs
    that need one contain it.
    """
    stream = f"{prefix}/v1/streams/{stream_id}"
    view_query = f"?ticket={view}" if view and is_private(stream_id) else ""
    control_query = f"?ticket={control}" if control else ""
    return Urls(
        events=f"{stream}/events{view_query}",
        status=f"{stream}{view_query}",
        completion=f"{stream}/completion{view_query}",
        cancel=f"{stream}/cancel{control_query}",
        # Browsers do not send the part after `#` to the server.
        page=f"{prefix}/watch#{stream_id}.{view}" if view_query else f"{prefix}/watch#{stream_id}",
    )
