"""The endings that a run of each model may have under faults. Any other ending is wrong. No I/O.

An ending is `completed`, `cancelled`, or the code that a failure carries.
"""

TROUBLE = frozenset({"worker_lost", "upstream_disconnected", "upstream_timeout"})
"""Endings that faults can cause in any run: lost workers, a killed or frozen provider."""

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
PASSING_FAULTS = {"fault-429": "rate_limit_exceeded"}


def may_end(model: str, ending: str, may_be_cancelled: bool) -> bool:
    """Whether a run of this model may end like that."""
    if ending == "cancelled":
        return may_be_cancelled
    if ending == "completed":
        return model not in FAULTS
    return ending in TROUBLE or ending in (FAULTS.get(model), PASSING_FAULTS.get(model))
