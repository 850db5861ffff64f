"""Timeouts that depend on the model: a reasoning model may stay silent for longer. Pure: no I/O."""

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class ModelTimeouts:
    """Seconds by pattern of a model; the first that fits counts, else `default_s`. 0 is no limit."""

    default_s: float
    patterns: tuple[tuple[str, float], ...] = ()

    def of(self, model: str) -> float:
        return next((seconds for pattern, seconds in self.patterns if fnmatchcase(model, pattern)), self.default_s)


def parse_patterns(text: str) -> tuple[tuple[str, float], ...]:
    """`text`: `PATTERN=SECONDS`, separated by commas. Raises: ValueError."""
    return tuple(_parse_entry(entry.strip()) for entry in text.split(",") if entry.strip())


def _parse_entry(entry: str) -> tuple[str, float]:
    pattern, _, number = (part.strip() for part in entry.rpartition("="))
    try:
        seconds = float(number)
    except ValueError:
        seconds = math.nan
    if not pattern or not 0 <= seconds < math.inf:
        raise ValueError(f"'{entry}' is not PATTERN=SECONDS, such as o3*=600 (0: no limit)")
    return pattern, seconds
