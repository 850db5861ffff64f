"""Whether a provider is asked with `stream` and `stream_options`. It may refuse one of them. Pure: no I/O."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.errors import RunError
from worker.providers.provider_table import CallOptions

MAX_MODELS = 1000
_REFUSED = frozenset({400, 422})
_NAMES_OPTIONS = re.compile(r"\bstream_options\b")
_NAMES_STREAM = re.compile(r"\bstream(?:ing|ed)?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestForm:
    """`stream`: ask for a stream, else for a whole answer. `stream_options`: ask the stream for its usage."""

    stream: bool
    stream_options: bool

    def body(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request in this form."""
        body = {name: value for name, value in request.items() if name != "stream_options"} | {"stream": self.stream}
        if self.stream and self.stream_options:
            body["stream_options"] = {**_options_of(request), "include_usage": True}
        return body


class RequestForms:
    """What one provider has refused, for the life of the process: `stream_options` at all, `stream` by model."""

    def __init__(self) -> None:
        self._refuses_options = False
        self._without_stream: set[str] = set()

    def choose(self, model: str, options: CallOptions) -> RequestForm:
        """The form for a first try. The table of providers decides, if it says something."""
        streams = model not in self._without_stream if options.stream is None else options.stream
        has_options = not self._refuses_options if options.stream_options is None else options.stream_options
        return RequestForm(streams, streams and has_options)

    def after(self, form: RequestForm, error: RunError, options: CallOptions) -> RequestForm | None:
        """The form in which to ask once more after this error. None if the provider refuses something else."""
        if error.http_status not in _REFUSED:
            return None
        words = f"{error.param or ''} {error.message}"
        if _NAMES_OPTIONS.search(words):
            can_leave_out = form.stream_options and options.stream_options is None
            return RequestForm(form.stream, stream_options=False) if can_leave_out else None
        if _NAMES_STREAM.search(words) and form.stream and options.stream is None:
            return RequestForm(stream=False, stream_options=False)
        return None

    def remember(self, model: str, form: RequestForm, request: Mapping[str, Any]) -> None:
        """The provider accepted `form` after it had refused another."""
        if not form.stream:
            if len(self._without_stream) < MAX_MODELS:
                self._without_stream.add(model)
        elif not _options_of(request).keys() - {"include_usage"}:
            # Otherwise the provider may only have refused what this caller has put into its options.
            self._refuses_options = True


def _options_of(request: Mapping[str, Any]) -> dict[str, Any]:
    options = request.get("stream_options")
    return options if isinstance(options, dict) else {}


def with_whole_characters(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request without halves of surrogate pairs, which UTF-8 does not have. A client or a provider may have cut a
    text inside a character; its rest is replaced."""
    text = json.dumps(request, ensure_ascii=False)
    whole: dict[str, Any] = json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return whole
