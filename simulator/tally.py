"""What was asked and how it ended, for `/simulator/stats`. Pure: no I/O."""

from collections import Counter
from enum import Enum


class Ending(Enum):
    COMPLETED = "completed"
    ABORTED = "aborted"
    REFUSED = "refused"


class Tally:
    """Counts since the process began. `requests` is the sum of `open`, `completed`, `aborted` and `refused`.

    `completed` means played to its end, a fault's bad end included; `aborted`, that the client left before;
    `refused`, answered with an error.
    """

    def __init__(self) -> None:
        self._all: Counter[str] = Counter()
        self._models: dict[str, Counter[str]] = {}

    def begin(self, model: str | None) -> None:
        """`model` is None for one that does not exist: clients' inventions must not fill the memory."""
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
