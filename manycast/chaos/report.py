"""Counts the results of a run and formats its table. No I/O."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from contract.event import Kind as EventKind
from manycast.chaos.checker import Finding, Violation
from manycast.chaos.evidence import StreamRecord
from manycast.chaos.schedule import Kind, TopologyName, kinds_of
from manycast.chaos.script_run import count_states, read_question_ends

SHOWN_FINDINGS = 20


@dataclass
class Tally:
    """The counts of a whole run. It keeps no stream, so a long run needs little memory."""

    seed: int
    minutes: float
    parts: str
    topology: TopologyName = TopologyName.ONE
    faults: Counter[Kind] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    viewers: int = 0
    responses: int = 0
    cuts: int = 0
    delivered: int = 0
    restarts: int = 0
    scripts: Counter[str] = field(default_factory=Counter)
    bill: Counter[str] = field(default_factory=Counter)
    """How many calls the provider has answered, by the user."""
    findings: list[Finding] = field(default_factory=list)

    def count(self, record: StreamRecord) -> None:
        failed = "failed: " if record.status == "failed" else ""
        self.outcomes[failed + (record.ending or "unknown")] += 1
        self.restarts += sum(event.kind is EventKind.RESTART for event in record.log)
        if record.is_script:
            self._count_script(record)
        for observation in record.observations:
            self.viewers += 1
            self.responses += observation.responses
            self.cuts += observation.cuts
            self.delivered += observation.delivered

    def _count_script(self, record: StreamRecord) -> None:
        states, ends = count_states(record.log), read_question_ends(record.log).values()
        self.scripts["runs"] += 1
        self.scripts["runs of the documentation's examples"] += not record.is_chain
        self.scripts["epochs"] += record.log[-1].position.epoch if record.log else 0
        self.scripts["steps"] += states["begin"]
        self.scripts["steps begun again"] += states["restart"]
        for end in ends:
            self.scripts["questions answered" if end["state"] == "answered" else "questions nobody answered"] += 1

    @property
    def has_failed(self) -> bool:
        return bool(self.findings)

    @property
    def violations(self) -> Counter[Violation]:
        counts = Counter(dict.fromkeys(Violation, 0))
        for finding in self.findings:
            counts[finding.violation] += finding.count
        return counts


def table(tally: Tally) -> Iterator[str]:
    """Yields the lines of the table."""
    yield f"chaos: seed {tally.seed}, {tally.minutes:g} minutes, {tally.parts}"
    yield ""
    faults = {str(kind): tally.faults[kind] for kind in kinds_of(tally.topology)} | {
        "viewer cut at a random byte": tally.cuts
    }
    yield from _rows("faults", faults)
    yield ""
    yield from _rows("streams", dict(sorted(tally.outcomes.items())))
    yield ""
    delivered = {
        "viewers": tally.viewers,
        "responses they received": tally.responses,
        "events delivered": tally.delivered,
        "answers restarted": tally.restarts,
    }
    yield from _rows("delivered", delivered, False)
    yield ""
    yield from _rows("scripts", dict(sorted(tally.scripts.items())), False)
    yield ""
    yield from _rows("must be zero", {str(violation): count for violation, count in tally.violations.items()}, False)


def _rows(head: str, counts: dict[str, int], has_sum: bool = True) -> Iterator[str]:
    yield f"{head:<44}{sum(counts.values()):>12,}" if has_sum else head
    for name, count in counts.items():
        yield f"  {name:<42}{count:>12,}"


def details(findings: Iterable[Finding]) -> Iterator[str]:
    """Yields one line per violation, up to `SHOWN_FINDINGS`."""
    findings = list(findings)
    yield from map(str, findings[:SHOWN_FINDINGS])
    if len(findings) > SHOWN_FINDINGS:
        yield f"and {len(findings) - SHOWN_FINDINGS} more"
