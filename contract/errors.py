"""Errors: why a run failed, as its `done` event reports it, and the two ways in which Redis fails. Pure: no I/O.

docs/protocol.md, section 7, lists the codes.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Code(StrEnum):
    """Our own error codes. A provider's codes are passed on unchanged and are not listed here."""

    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_DISCONNECTED = "upstream_disconnected"
    UPSTREAM_TRUNCATED = "upstream_truncated"
    UPSTREAM_INVALID = "upstream_invalid"
    UPSTREAM_ERROR = "upstream_error"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    ANSWER_TOO_LARGE = "answer_too_large"
    RUN_TOO_LONG = "run_too_long"
    WORKER_LOST = "worker_lost"
    WORKER_ERROR = "worker_error"
    SCRIPT_FAILED = "script_failed"
    SCRIPT_ERROR = "script_error"
    SCRIPT_LIMIT = "script_limit"
    SCRIPT_CHANGED = "script_changed"
    BROKER_UNAVAILABLE = "broker_unavailable"
    STREAM_LOST = "stream_lost"
    STREAM_DELETED = "stream_deleted"


PROVIDER_ERROR = "provider_error"
SERVER_ERROR = "server_error"


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run failed: OpenAI's four fields, whether a retry may help, and the provider's HTTP status, if any."""

    code: str
    message: str
    type: str = PROVIDER_ERROR
    param: str | None = None
    retryable: bool = False
    http_status: int | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class RunFailedError(Exception):
    """A generator raises it to end its run as `failed`. The chunks that it yielded before stay in the log."""

    def __init__(self, error: RunError) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error


class BrokerError(Exception):
    """Redis has not done what it was asked for. A later try may succeed."""


class BrokerUnavailableError(BrokerError):
    """Redis cannot be reached, does not answer in time, or is changing: a node takes over, or its slots move."""


class BrokerRefusedError(BrokerError):
    """Redis refuses a command: it is out of memory or misconfigured, or the user lacks a right."""


class BrokerFullError(BrokerRefusedError):
    """Redis refuses a write, because it has reached its `maxmemory`."""
