"""The path under which a proxy publishes this gateway: `root_path` of the ASGI specification."""

from starlette.requests import Request
from starlette.types import Scope


def prefix_of(request: Request) -> str:
    """The prefix of the URLs in the answer to this request, such as `/llm`; empty for none."""
    prefix: str = request.scope.get("root_path", "")
    return prefix


def route_path(scope: Scope) -> str:
    """The path of the request without the prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
