"""What is known of a run's end, gathered from its chunks, and the `done` event made of it. Pure: no I/O, no clock."""

from typing import Any, TypedDict

from contract.errors import SERVER_ERROR, Code, RunError
from contract.event import Chunk, Kind, Status, encode_json, entry_line


class Timing(TypedDict):
    """Milliseconds; docs/protocol.md, section 2, says from where to where. `pace` is chunks in each second."""

    queued_ms: int
    first_chunk_ms: int | None
    total_ms: int
    pace: list[int]


class Outcome:
    """Finish reasons and usage as the chunks bring them. Chunks are a provider's: nothing in them is taken on trust."""

    def __init__(self, choices_asked: object) -> None:
        self._choices_asked = choices_asked if isinstance(choices_asked, int) else 1
        self._reasons: dict[object, str | None] = {}
        self.usage: dict[str, Any] | None = None

    def record(self, chunk: Chunk) -> None:
        choices = chunk.get("choices")
        if isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._record_choice(choice)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self.usage = usage

    def _record_choice(self, choice: dict[str, Any]) -> None:
        index, reason = choice.get("index", 0), choice.get("finish_reason")
        if not isinstance(index, int):
            return
        if isinstance(reason, str) and reason:
            self._reasons[index] = reason
        else:
            self._reasons.setdefault(index, None)

    @property
    def finish_reason(self) -> str | None:
        return self._reasons.get(0)

    @property
    def is_finished(self) -> bool:
        """Every choice that was seen has its reason: a clean end is an end."""
        return bool(self._reasons) and None not in self._reasons.values()

    @property
    def is_whole(self) -> bool:
        """Every choice that was asked for has its reason: whatever comes or breaks now, the answer is complete."""
        return self.is_finished and len(self._reasons) >= self._choices_asked


def done_line(status: Status, outcome: Outcome, error: RunError | None, timing: Timing | None) -> bytes:
    """The last entry of a log."""
    data = {
        "status": status,
        "finish_reason": outcome.finish_reason,
        "usage": outcome.usage,
        "error": None if error is None else error.as_json(),
        "timing": timing,
    }
    return entry_line(Kind.DONE, encode_json(data))


def stream_lost() -> RunError:
    return RunError(Code.STREAM_LOST.value, "The broker lost a part of this answer.", SERVER_ERROR, retryable=True)


def worker_lost() -> RunError:
    text = "The worker was lost, and no attempt is left."
    return RunError(Code.WORKER_LOST.value, text, SERVER_ERROR, retryable=True)


def worker_failed() -> RunError:
    return RunError(Code.WORKER_ERROR.value, "The worker failed at this run; its log has the reason.", SERVER_ERROR)


def answer_too_large(limit_bytes: int) -> RunError:
    text = f"The answer is larger than the {limit_bytes} bytes that are allowed here."
    return RunError(Code.ANSWER_TOO_LARGE.value, text, SERVER_ERROR)


def run_too_long(limit_s: float) -> RunError:
    text = f"The answer takes longer than the {limit_s:g} seconds that are allowed here."
    return RunError(Code.RUN_TOO_LONG.value, text, SERVER_ERROR)


def broker_unavailable() -> RunError:
    text = "The broker refused to store the answer for too long."
    return RunError(Code.BROKER_UNAVAILABLE.value, text, SERVER_ERROR, retryable=True)
