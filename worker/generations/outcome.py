"""The outcome of a run, collected from its chunks, and its `done` event. Pure: no I/O, no clock."""

from collections.abc import Mapping
from typing import Any, TypedDict

from contract.errors import SERVER_ERROR, Code, RunError
from contract.event import Chunk, Kind, Status, encode_json, entry_line


class Timing(TypedDict):
    """Milliseconds; docs/protocol.md, section 2, defines them. `pace` is the number of chunks in each second."""

    queued_ms: int
    first_chunk_ms: int | None
    total_ms: int
    pace: list[int]


class Outcome:
    """Finish reasons and usage from the chunks. Providers send chunks of any shape, so every field is checked."""

    def __init__(self, choices_asked: object) -> None:
        self._choices_asked = choices_asked if isinstance(choices_asked, int) else 1
        self._has_ended = False
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

    def end(self) -> None:
        """The source has said that the answer is complete, whatever its chunks contain."""
        self._has_ended = True

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
        """Whether every choice seen so far has a finish reason."""
        return self._has_ended or (bool(self._reasons) and None not in self._reasons.values())

    @property
    def is_whole(self) -> bool:
        """Whether every requested choice has a finish reason: the answer is complete, whatever fails later."""
        return self._has_ended or (self.is_finished and len(self._reasons) >= self._choices_asked)


def count_choices(request: Mapping[str, Any]) -> int:
    """How many choices a request asks for. The prompt of a text completion may be a list of prompts."""
    per_prompt, prompts = request.get("n"), request.get("prompt")
    count = per_prompt if isinstance(per_prompt, int) else 1
    if isinstance(prompts, list) and prompts and isinstance(prompts[0], str | list):
        return count * len(prompts)
    return count


def done_line(status: Status, outcome: Outcome, error: RunError | None, timing: Timing | None) -> bytes:
    """The `done` event: the last entry of a log."""
    data = {
        "status": status,
        "finish_reason": outcome.finish_reason,
        "usage": outcome.usage,
        "error": None if error is None else error.as_json(),
        "timing": timing,
    }
    return entry_line(Kind.DONE, encode_json(data))


def stream_lost() -> RunError:
    return RunError(Code.STREAM_LOST.value, "The database lost a part of this answer.", SERVER_ERROR, retryable=True)


def worker_lost() -> RunError:
    text = "The worker was lost, and no attempt is left."
    return RunError(Code.WORKER_LOST.value, text, SERVER_ERROR, retryable=True)


def worker_failed() -> RunError:
    return RunError(Code.WORKER_ERROR.value, "The worker failed during this run. Its log has the reason.", SERVER_ERROR)


def answer_too_large(limit_bytes: int, setting: str) -> RunError:
    text = f"The answer is larger than the limit of {limit_bytes} bytes ({setting})."
    return RunError(Code.ANSWER_TOO_LARGE.value, text, SERVER_ERROR)


def run_too_long(limit_s: float) -> RunError:
    text = f"The answer took longer than the limit of {limit_s:g} seconds."
    return RunError(Code.RUN_TOO_LONG.value, text, SERVER_ERROR)


def broker_unavailable() -> RunError:
    text = "The database refused to store the answer for too long."
    return RunError(Code.BROKER_UNAVAILABLE.value, text, SERVER_ERROR, retryable=True)
