"""What viewers received and what Redis holds: the evidence that the checker compares. No I/O."""

import json
from dataclasses import dataclass, field

from contract.event import Event
from contract.position import START, Position


@dataclass(slots=True)
class Observation:
    """One viewer: every event of the log that it was given, over all its responses, as (position, kind, data).

    `joined` is the position after which it first asked. After a `gap` the protocol has a viewer begin anew: what it saw
    until then is forgotten, and `joined` is the start.
    """

    name: str
    joined: Position = START
    events: list[tuple[Position, str, str]] = field(default_factory=list)
    responses: int = 0
    cuts: int = 0
    gaps: int = 0
    delivered: int = 0
    ended: bool = False
    complaint: str = ""
    """Responses that no viewer of this stream may get."""
    last_answer: str = "it was never answered"

    @property
    def position(self) -> Position:
        """The position that its next request resumes from."""
        return self.events[-1][0] if self.events else self.joined

    def see(self, position: Position, kind: str, data: str) -> None:
        self.events.append((position, kind, data))
        self.delivered += 1

    def start_again(self) -> None:
        """The viewer got a `gap`."""
        self.gaps += 1
        self.events.clear()
        self.joined = START


@dataclass(slots=True)
class StreamRecord:
    """One stream at the end. `ids` are what each of the same requests was answered; `answer` is what the provider gives
    to this request, None where that was not asked; `said` are the statuses that cancels were answered."""

    name: str
    model: str
    ids: set[str] = field(default_factory=set)
    status: str = ""
    may_be_cancelled: bool = False
    log: list[Event] = field(default_factory=list)
    answer: list[str] | None = None
    said: set[str] = field(default_factory=set)
    sightings: list[Observation] = field(default_factory=list)

    @property
    def ending(self) -> str:
        """Its status, or the error code of a failed run; empty if nothing is known."""
        if self.status != "failed" or not self.log:
            return self.status
        return str((json.loads(self.log[-1].data).get("error") or {}).get("code"))

    @property
    def id(self) -> str:
        return next(iter(self.ids), "none")


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What Redis holds when all is over. `immortal` are keys of ours without an expiry, `mc:jobs` aside; `unknown` are
    streams that nobody asked for; `beyond` are keys that were there when their streams had expired."""

    immortal: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    queued: int = 0
    pending: int = 0
