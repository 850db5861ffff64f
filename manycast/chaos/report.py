"""The table of a run, and whether it failed. No I/O."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from contract.event import Kind as EventKind
from manycast.chaos.checker import Finding, Wrong
from manycast.chaos.evidence import StreamRecord
from manycast.chaos.schedule import Kind

SHOWN_FINDINGS = 20


@dataclass
class Tally:
    """Counts over a whole run. Checked streams are counted here and dropped."""

    seed: int
    minutes: float
    parts: str
    faults: Counter[Kind] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    viewers: int = 0
    responses: int = 0
    cuts: int = 0
    delivered: int = 0
    restarts: int = 0
    findings: list[Finding] = field(default_factory=list)

    def count(self, record: StreamRecord) -> None:
        failed = "failed: " if record.status == "failed" else ""
        self.outcomes[failed + (record.ending or "unknown")] += 1
        self.restarts += sum(event.kind is EventKind.RESTART for event in record.log)
        for sighting in record.sightings:
            self.viewers += 1
            self.responses += sighting.responses
            self.cuts += sighting.cuts
            self.delivered += sighting.delivered

    @property
    def has_failed(self) -> bool:
        return bool(self.findings)

    @property
    def wrongs(self) -> Counter[Wrong]:
        wrongs = Counter(dict.fromkeys(Wrong, 0))
        for finding in self.findings:
            wrongs[finding.wrong] += finding.count
        return wrongs


def table(tally: Tally) -> Iterator[str]:
    """Its lines."""
    yield f"chaos: seed {tally.seed}, {tally.minutes:g} minutes, {tally.parts}"
    yield ""
    faults = {str(kind): tally.faults[kind] for kind in Kind} | {"viewer cut at a random byte": tally.cuts}
    yield from _rows("faults", faults)
    yield ""
    yield from _rows("streams", dict(sorted(tally.outcomes.items())))
    yield ""
    delivered = {
        "viewers": tally.viewers,
        "responses they got": tally.responses,
        "events delivered": tally.delivered,
        "answers begun again": tally.restarts,
    }
    yield from _rows("delivered", delivered, False)
    yield ""
    yield from _rows("must be zero", {str(wrong): count for wrong, count in tally.wrongs.items()}, False)


def _rows(head: str, counts: dict[str, int], has_sum: bool = True) -> Iterator[str]:
    yield f"{head:<44}{sum(counts.values()):>12,}" if has_sum else head
    for name, count in counts.items():
        yield f"  {name:<42}{count:>12,}"


def details(findings: Iterable[Finding]) -> Iterator[str]:
    """The faults, one per line."""
    findings = list(findings)
    yield from map(str, findings[:SHOWN_FINDINGS])
    if len(findings) > SHOWN_FINDINGS:
        yield f"and {len(findings) - SHOWN_FINDINGS} more"
