"""Counts requests by model and ending, for `/simulator/stats`. No I/O."""

from collections import Counter
from enum import Enum


class Ending(Enum):
    COMPLETED = "completed"
    ABORTED = "aborted"
    REFUSED = "refused"


class Tally:
    """Counts since the process started. `requests` is the sum of `open`, `completed`, `aborted` and `refused`.

    `completed`: sent to the end, including an end by a planned fault. `aborted`: the client disconnected before the
    end. `refused`: the response was an error.
    """

    def __init__(self) -> None:
        self._all: Counter[str] = Counter()
        self._models: dict[str, Counter[str]] = {}

    def begin(self, model: str | None) -> None:
        """`model` is None for unknown models, so that arbitrary names from clients do not fill the memory."""
        for counter in self._counters(model):
            counter["requests"] += 1
            counter["open"] += 1

    def end(self, model: str | None, ending: Ending) -> None:
        for counter in self._counters(model):
            counter["open"] -= 1
            counter[ending.value] += 1

    def as_object(self) -> dict[str, object]:
        return {
            **counts(self._all),
            "models": {name: counts(each) for name, each in sorted(self._models.items())},
        }

    def _counters(self, model: str | None) -> tuple[Counter[str], ...]:
        return (self._all,) if model is None else (self._all, self._models.setdefault(model, Counter()))


def counts(counter: Counter[str]) -> dict[str, int]:
    return {name: counter[name] for name in ("open", "completed", "aborted", "refused", "requests")}
