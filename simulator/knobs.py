"""The `simulator` object of a request body: settings for one request. No I/O."""

from dataclasses import dataclass, replace
from typing import Any

from simulator.errors import ApiError, Refused, wrong_type, wrong_value
from simulator.pace import Pace


@dataclass(frozen=True, slots=True)
class Knobs:
    """None: the model or the environment decides. docs/simulator.md explains each field."""

    first_chunk_ms: float | None = None
    chunks_per_s: float | None = None
    jitter: float | None = None
    chunks: int | None = None
    seed: int | None = None
    failures: int | None = None
    fault_after: int | None = None
    hold_after: int | None = None

    def turn(self, pace: Pace) -> Pace:
        """Returns `pace` with the values that this request sets."""
        mine = {
            "first_chunk_ms": self.first_chunk_ms,
            "chunks_per_s": self.chunks_per_s,
            "jitter": self.jitter,
        }
        return replace(pace, **{name: value for name, value in mine.items() if value is not None})


# The smallest and the largest value. A knob with a float as its smallest value accepts fractions.
RANGES: dict[str, tuple[float, float]] = {
    "first_chunk_ms": (0.0, 600_000),
    "chunks_per_s": (0.0, 1_000_000),
    "jitter": (0.0, 1),
    "chunks": (1, 100_000),
    "seed": (-(2**63), 2**63 - 1),
    "failures": (0, 1_000),
    "fault_after": (0, 100_000),
    "hold_after": (0, 100_000),
}


def read_knobs(fields: Any) -> Knobs:
    """Raises: Refused 400 for an unknown knob (for example a misspelt one), or a value out of range."""
    if fields is None:
        return Knobs()
    if not isinstance(fields, dict):
        raise wrong_type("simulator", "an object")
    for name, value in fields.items():
        param = f"simulator.{name}"
        if name not in RANGES:
            text = f"Unknown parameter: '{param}'. There are: {', '.join(RANGES)}."
            raise Refused(ApiError(400, text, param=param, code="unknown_parameter"))
        least, most = RANGES[name]
        kinds = (int, float) if isinstance(least, float) else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
            noun = "a number" if isinstance(least, float) else "an integer"
            raise wrong_value(param, f"{noun} from {least:.0f} to {most}")
    return Knobs(**fields)
