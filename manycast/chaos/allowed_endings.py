"""Lists how a run of each model may end while faults are injected. Any other ending is wrong. No I/O.

An ending is `completed`, `cancelled`, or the error code of a failed run.
"""

CAUSED_BY_FAULTS = frozenset({"worker_lost", "upstream_disconnected", "upstream_timeout"})
"""Injected faults can end any run with these codes: a worker is lost, the provider is killed or frozen."""

FAULTS = {
    "fault-401": "invalid_api_key",
    "fault-500": "server_error",
    "fault-stall-first": "upstream_timeout",
    "fault-stall-middle": "upstream_timeout",
    "fault-drop": "upstream_disconnected",
    "fault-truncated": "upstream_truncated",
    "fault-error-frame": "server_error",
    "fault-garbage": "upstream_invalid",
}
TEMPORARY_FAULTS = {"fault-429": "rate_limit_exceeded"}


def may_end(model: str, ending: str, may_be_cancelled: bool) -> bool:
    """Whether a run of this model may end with `ending`."""
    if ending == "cancelled":
        return may_be_cancelled
    if ending == "completed":
        return model not in FAULTS
    return ending in CAUSED_BY_FAULTS or ending in (FAULTS.get(model), TEMPORARY_FAULTS.get(model))
