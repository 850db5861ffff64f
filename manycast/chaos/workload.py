"""The workload: the same seed gives the same streams and viewers. No I/O, no clock."""

import random
from dataclasses import dataclass
from typing import Any

WORDS = ("tide", "lamp", "river", "engine", "letter", "window", "garden", "winter", "signal", "harbour", "copper")

# How often each model is requested. The models that fail are the provider's faults.
MODELS = {
    "demo": 30,
    "demo-fast": 12,
    "demo-long": 10,
    "demo-tools": 5,
    "demo-reasoning": 5,
    "demo-choices": 5,
    "fault-surrogate": 3,
    "fault-huge": 2,
    "fault-429": 3,
    "fault-401": 2,
    "fault-500": 2,
    "fault-stall-first": 2,
    "fault-stall-middle": 2,
    "fault-drop": 3,
    "fault-truncated": 3,
    "fault-error-frame": 3,
    "fault-garbage": 3,
}

POLICIES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {"on_worker_lost": "fail"},
    {"when_unwatched": {"cancel_after_s": 4}},
)


@dataclass(frozen=True, slots=True)
class ViewerPlan:
    """`cuts` are bytes of each response after which the viewer's line breaks, one response after the other.

    `late_s` is how long after the stream's start it comes. `follows` has it begin where another viewer of the same
    stream stands. `returns` has it come once more after the end, as a page does that is opened again.
    """

    name: str
    late_s: float
    cuts: tuple[int, ...]
    is_slow: bool
    follows: bool
    returns: bool


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream: the body to ask with, and what becomes of it from outside. `repeats_s` are when the same request is
    made again with the same key; `cancel_after_s` None: it is never cancelled."""

    name: str
    body: dict[str, Any]
    key: str
    repeats_s: tuple[float, ...]
    cancel_after_s: float | None
    viewers: tuple[ViewerPlan, ...]

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def may_be_cancelled(self) -> bool:
        return self.cancel_after_s is not None or "when_unwatched" in self.body.get("manycast", {})


def plan_stream(seed: int, number: int) -> StreamPlan:
    """The stream of that number. Streams are independent of each other, so that a run may have any length."""
    chance = random.Random(f"stream {seed} {number}")  # noqa: S311 -- a plan, not a secret
    (model,) = chance.choices(list(MODELS), list(MODELS.values()))
    prompt = f"Tell me about the {chance.choice(WORDS)} and the {chance.choice(WORDS)}, number {number}"
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "simulator": _plan_pace(chance, model),
        "user": f"chaos-{seed}-{number}",
    }
    if policy := chance.choice(POLICIES):
        body["manycast"] = policy
    return StreamPlan(
        name=f"s{number}",
        body=body,
        key=f"chaos-{seed}-{number}",
        repeats_s=tuple(round(chance.uniform(0, 4), 2) for _ in range(chance.choice((0, 0, 0, 1, 2)))),
        cancel_after_s=round(chance.uniform(0, 4), 2) if chance.random() < 0.12 else None,
        viewers=tuple(_plan_viewer(chance, f"s{number}v{at}") for at in range(chance.randint(2, 6))),
    )


def _plan_pace(chance: random.Random, model: str) -> dict[str, Any]:
    pace: dict[str, Any] = {"seed": chance.randrange(1 << 30), "first_chunk_ms": chance.choice((0, 50, 300, 800))}
    if model == "demo-fast":
        return {**pace, "chunks": chance.randint(100, 500)}
    pace["chunks_per_s"] = chance.choice((20, 40, 80))
    if model == "demo-long":
        pace |= {"chunks": chance.randint(200, 400), "chunks_per_s": chance.choice((60, 100))}
    elif model.startswith("fault-") and model not in ("fault-huge", "fault-surrogate"):
        pace["fault_after"] = chance.randint(0, 40)
    return pace


def _plan_viewer(chance: random.Random, name: str) -> ViewerPlan:
    late_s = chance.choice((0.0, 0.0, chance.uniform(0, 3), chance.uniform(3, 15)))
    cuts = tuple(_cut_at(chance) for _ in range(chance.choice((0, 0, 1, 2, 4))))
    return ViewerPlan(
        name=name,
        late_s=round(late_s, 2),
        cuts=cuts,
        is_slow=chance.random() < 0.12,
        follows=chance.random() < 0.2,
        returns=chance.random() < 0.3,
    )


def _cut_at(chance: random.Random) -> int:
    """Cuts anywhere: in the head, between two events, inside one, inside a character."""
    return chance.choice((chance.randint(0, 400), chance.randint(100, 5_000), chance.randint(1_000, 60_000)))
