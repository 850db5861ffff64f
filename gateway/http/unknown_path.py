"""Says what is wrong with a path that this server does not have. No I/O.

Most such requests come from a client whose base URL is wrong, or that expects another server: the message names the
right address or setting.
"""

import re
from collections.abc import Callable, Iterator

API = "/v1"
NAME_LIMIT_CHARS = 64

_AZURE = "/openai/deployments/"
_HOLE = re.compile(f"{API}/[^/]+(/[^/]+)*//.")
"""A path with an empty part behind the name of a call, as a script sends it that has no id. An empty part in front of
the name comes from a base URL."""
_NOT_OFFERED = frozenset(
    {
        "assistants",
        "audio",
        "batches",
        "containers",
        "conversations",
        "evals",
        "files",
        "fine_tuning",
        "images",
        "organization",
        "realtime",
        "threads",
        "uploads",
        "vector_stores",
        "videos",
    }
)
"""OpenAI's calls that this server does not have, by the first part of their paths."""
_BASES = frozenset({"", "v1", "api", "openai"})
"""Parts of the base URLs of servers with OpenAI's API."""
_OTHER_APIS = {
    "/v1/messages": "Anthropic's",
    "/v1/complete": "Anthropic's",
    "/v1beta/": "Gemini's",
    "/api/generate": "Ollama's",
    "/api/tags": "Ollama's",
    "/api/show": "Ollama's",
    "/api/embed": "Ollama's",
    "/api/ps": "Ollama's",
    "/api/version": "Ollama's",
}
"""The starts of paths that belong to the API of another product."""


def explain_path(path: str, prefix: str, is_route: Callable[[str], bool]) -> str:
    """What to do about a request for `path`, in a sentence; "" if that is unknown.

    `prefix` is the path under which a proxy publishes this server. `path` does not contain it. `is_route` says whether
    this server has a path, for any method.
    """
    base = prefix + API
    if path.startswith(_AZURE):
        deployment = path.removeprefix(_AZURE).partition("/")[0][:NAME_LIMIT_CHARS]
        return (
            "This server does not have Azure's addresses. Use OpenAI's client instead of Azure's, with a base URL that "
            f"ends in {base}, and '{deployment}' as the model."
        )
    if _HOLE.match(path):
        return "A part of this path is empty: an id may be missing there."
    for candidate in _candidates(path):
        if candidate != path and is_route(candidate):
            advice = f"This server has that call at {prefix}{candidate}"
            is_api = candidate.startswith(f"{API}/")
            return f"{advice}: the client's base URL must end in {base}, once." if is_api else f"{advice}."
    for start, owner in _OTHER_APIS.items():
        if path.startswith(start):
            return f"This is a call of {owner} API. Use a client of OpenAI's API, with a base URL that ends in {base}."
    name = next((part for part in path.split("/") if part not in _BASES), "")
    if name in _NOT_OFFERED:
        call = f"{base}/{name}"
        return f"This server does not have OpenAI's {call}. Send this call to the provider, with a client of its own."
    return ""


def _candidates(path: str) -> Iterator[str]:
    """The paths that the client may have meant: `/v1` and the last parts of its path, the longest first."""
    parts = [part for part in path.split("/") if part]
    yield "/" + "/".join(parts)
    for start in range(len(parts)):
        yield "/".join((API, *parts[start:]))
