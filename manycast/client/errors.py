"""The errors between a client and a Manycast server, each as a sentence for people. No I/O.

A run that fails raises nothing: its `done` event says so.
"""

_KEY = "set MANYCAST_API_KEY, or use --key-file"
_LINK = "ask the person who shared the link for a new one"
_ADVICE = {
    "missing_api_key": _KEY,
    "invalid_api_key": _KEY,
    "not_this_machine": "on the server, create a key with: manycast key create",
    "ticket_missing": "use the whole link, including the part after the dot",
    "ticket_invalid": "use the whole link, exactly as it was shared",
    "ticket_expired": _LINK,
    "ticket_revoked": _LINK,
}


class ManycastError(Exception):
    """The base of all errors that this package raises."""


class UnreachableError(ManycastError):
    """The server does not answer, or went away and did not come back in time."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"cannot reach {url} ({reason})")
        self.url = url
        self.reason = reason


class ConnectionLostError(ManycastError):
    """A connection broke, stalled or was refused for now. Trying again may help.

    `retry_after_s` is the delay that the server asked for; None if it did not say.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class StreamNotFoundError(ManycastError):
    """The stream never existed, or has expired."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(f"there is no answer {stream_id}: it never existed, or it has expired")
        self.stream_id = stream_id


class RefusedError(ManycastError):
    """The server refused the request. `code` and `detail` come from its response."""

    def __init__(self, status: int, code: str | None, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{detail} ({code or f'HTTP {status}'})")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s

    @property
    def advice(self) -> str:
        """What to do about it; "" if the server's message already says so."""
        if self.status == 429 and self.retry_after_s:
            return f"try again in {self.retry_after_s:.0f} s"
        return _ADVICE.get(self.code or "", "")


class NotManycastError(ManycastError):
    """The server answers, but does not speak the protocol."""

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(f"{url} does not speak Manycast's protocol: {detail}")
        self.url = url
        self.detail = detail


class NothingMoreError(ManycastError):
    """The stream was already read to its end; nothing follows."""
