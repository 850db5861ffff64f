"""Plans the streams and viewers of a run. The same seed gives the same plan. No I/O, no clock."""

import random
from dataclasses import dataclass
from typing import Any

from contract.prompts import SCRIPT_PREFIX
from manycast.chaos.chain_script import CHOICES, MODEL
from manycast.chaos.examples import TEXTS, has_page

WORDS = ("tide", "lamp", "river", "engine", "letter", "window", "garden", "winter", "signal", "harbour", "copper")

# The relative frequency of each model. The `fault-` models make the provider fail.
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

SCRIPT_EVERY = 6
"""Each so many-th stream is a script's run."""

EXAMPLE_EVERY = 3
"""Each so many-th of them is one of the documentation's examples, in turn; the others are the chain."""

ANSWER_WITHIN_S = 2.0
"""How long a script waits for an answer that nobody gives."""

POLICIES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {"on_worker_lost": "fail"},
    {"when_unwatched": {"cancel_after_s": 4}},
)


@dataclass(frozen=True, slots=True)
class ViewerPlan:
    """`delay_s`: seconds from the start of the stream to the first request. `cuts`: the viewer closes its first
    response after `cuts[0]` bytes, the second after `cuts[1]` bytes, and so on. `joins_at_another`: the viewer resumes
    from the position of another viewer of the stream. `returns_after_end`: it reconnects once after `done`, as a
    reopened page does.
    """

    name: str
    delay_s: float
    cuts: tuple[int, ...]
    is_slow: bool
    joins_at_another: bool
    returns_after_end: bool


@dataclass(frozen=True, slots=True)
class PersonPlan:
    """A person who answers the chain's question, `delay_s` after the stream has begun or as soon as it is asked."""

    delay_s: float
    value: str


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """`key`: the idempotency key. `repeats_s`: when the same request is sent again with the same key. `cancel_after_s`:
    None means that the caller does not cancel. `people` answer the question of the chain; those of the examples are
    answered as soon as they are asked."""

    name: str
    body: dict[str, Any]
    key: str
    repeats_s: tuple[float, ...]
    cancel_after_s: float | None
    viewers: tuple[ViewerPlan, ...]
    people: tuple[PersonPlan, ...] = ()

    @property
    def is_script(self) -> bool:
        return self.model.startswith(SCRIPT_PREFIX)

    @property
    def script(self) -> str:
        """Its name, if the stream is a script's run."""
        return self.model.removeprefix(SCRIPT_PREFIX)

    @property
    def is_chain(self) -> bool:
        return self.model == MODEL

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def may_be_cancelled(self) -> bool:
        return self.cancel_after_s is not None or "when_unwatched" in self.body.get("manycast", {})


def plan_stream(seed: int, number: int) -> StreamPlan:
    """Plans stream `number`. Each stream depends only on the seed and its number, so a run can have any length."""
    rng = random.Random(f"stream {seed} {number}")  # noqa: S311 -- a plan, not a secret
    (model,) = rng.choices(list(MODELS), list(MODELS.values()))
    if number % SCRIPT_EVERY == SCRIPT_EVERY - 1:
        model = _plan_script(number // SCRIPT_EVERY)
    prompt = f"Tell me about the {rng.choice(WORDS)} and the {rng.choice(WORDS)}, number {number}"
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": TEXTS.get(model.removeprefix(SCRIPT_PREFIX), prompt)}],
        "simulator": _plan_pace(rng, model),
        "user": f"chaos-{seed}-{number}",
    }
    if policy := rng.choice(POLICIES):
        body["manycast"] = policy
    people: tuple[PersonPlan, ...] = ()
    if model == MODEL:
        people = _plan_people(random.Random(f"people {seed} {number}"))  # noqa: S311 -- a plan, not a secret
        body["answer_within_s"] = None if people else ANSWER_WITHIN_S
    return StreamPlan(
        name=f"s{number}",
        body=body,
        key=f"chaos-{seed}-{number}",
        repeats_s=tuple(round(rng.uniform(0, 4), 2) for _ in range(rng.choice((0, 0, 0, 1, 2)))),
        cancel_after_s=round(rng.uniform(0, 4), 2) if rng.random() < 0.12 else None,
        viewers=tuple(_plan_viewer(rng, f"s{number}v{at}") for at in range(rng.randint(2, 6))),
        people=people,
    )


def _plan_script(turn: int) -> str:
    """The model of the script whose turn it is."""
    examples = list(TEXTS)
    if not has_page() or turn % EXAMPLE_EVERY != EXAMPLE_EVERY - 1:
        return MODEL
    return f"{SCRIPT_PREFIX}{examples[turn // EXAMPLE_EVERY % len(examples)]}"


def _plan_people(rng: random.Random) -> tuple[PersonPlan, ...]:
    """Nobody, one, or two who may give different answers at the same time."""
    return tuple(
        PersonPlan(round(rng.choice((0, rng.uniform(0, 12))), 2), rng.choice(CHOICES))
        for _ in range(rng.choice((0, 1, 1, 2, 2)))
    )


def _plan_pace(rng: random.Random, model: str) -> dict[str, Any]:
    pace: dict[str, Any] = {"seed": rng.randrange(1 << 30), "first_chunk_ms": rng.choice((0, 50, 300, 800))}
    if model == "demo-fast":
        return {**pace, "chunks": rng.randint(100, 500)}
    pace["chunks_per_s"] = rng.choice((20, 40, 80))
    if model == MODEL:
        return {**pace, "chunks": rng.randint(10, 40)}
    if model == "demo-long":
        pace |= {"chunks": rng.randint(200, 400), "chunks_per_s": rng.choice((60, 100))}
    elif model.startswith("fault-") and model not in ("fault-huge", "fault-surrogate"):
        pace["fault_after"] = rng.randint(0, 40)
    return pace


def _plan_viewer(rng: random.Random, name: str) -> ViewerPlan:
    delay_s = rng.choice((0.0, 0.0, rng.uniform(0, 3), rng.uniform(3, 15)))
    cuts = tuple(_cut_at(rng) for _ in range(rng.choice((0, 0, 1, 2, 4))))
    return ViewerPlan(
        name=name,
        delay_s=round(delay_s, 2),
        cuts=cuts,
        is_slow=rng.random() < 0.12,
        joins_at_another=rng.random() < 0.2,
        returns_after_end=rng.random() < 0.3,
    )


def _cut_at(rng: random.Random) -> int:
    """A position anywhere in a response: in the head, between two events, inside an event, inside a character."""
    return rng.choice((rng.randint(0, 400), rng.randint(100, 5_000), rng.randint(1_000, 60_000)))
