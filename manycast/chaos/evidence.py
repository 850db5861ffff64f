"""The data that the checker compares: events received by viewers, and the contents of Redis. No I/O."""

import json
from collections import Counter
from dataclasses import dataclass, field

from contract.event import Event
from contract.position import START, Position
from contract.prompts import SCRIPT_PREFIX
from manycast.chaos.chain_script import MODEL


@dataclass(slots=True)
class Observation:
    """All log events that one viewer received, over all its responses, as (position, kind, data).

    `joined` is the position that its first request resumed from. After a `gap`, the viewer reads the stream again from
    its start: `events` is emptied, and `joined` is the start.
    """

    name: str
    joined: Position = START
    events: list[tuple[Position, str, str]] = field(default_factory=list)
    responses: int = 0
    cuts: int = 0
    gaps: list[Position] = field(default_factory=list)
    """The positions for which the viewer got a `gap`."""
    delivered: int = 0
    ended: bool = False
    protocol_error: str = ""
    """Describes a response or event that breaks the protocol; empty if there was none."""
    last_answer: str = "it has received no response"

    @property
    def position(self) -> Position:
        """The position that the viewer's next request resumes from."""
        return self.events[-1][0] if self.events else self.joined

    def see(self, position: Position, kind: str, data: str) -> None:
        self.events.append((position, kind, data))
        self.delivered += 1

    def start_again(self) -> None:
        """Call this when the viewer receives a `gap`."""
        self.gaps.append(self.position)
        self.events.clear()
        self.joined = START


@dataclass(slots=True)
class StreamRecord:
    """The final state of one stream.

    `ids`: the stream ids returned for its identical requests. `answer`: the provider's own answer to this request; None
    if the provider was not asked. `cancel_statuses`: the statuses that cancel requests returned. `user`: the field of
    the request, by which the provider's bill names the calls of a chain. `accepted`: the ids of questions, and the
    answers of people to them that were accepted. `is_on_group`: a server of Redis may be replaced by one that lacks the
    last events.
    """

    name: str
    model: str
    ids: set[str] = field(default_factory=set)
    status: str = ""
    may_be_cancelled: bool = False
    log: list[Event] = field(default_factory=list)
    answer: list[str] | None = None
    cancel_statuses: set[str] = field(default_factory=set)
    observations: list[Observation] = field(default_factory=list)
    user: str = ""
    accepted: set[tuple[str, str]] = field(default_factory=set)
    is_on_group: bool = False
    paying: Counter[str] = field(default_factory=Counter)
    """Of an example: how many attempts may have paid for each call, by the digest of its messages."""

    @property
    def is_script(self) -> bool:
        return self.model.startswith(SCRIPT_PREFIX)

    @property
    def is_chain(self) -> bool:
        """Whether the provider's bill names the steps of the run."""
        return self.model == MODEL

    @property
    def ending(self) -> str:
        """The status of the run, or the error code if it failed; empty if unknown."""
        if self.status != "failed" or not self.log:
            return self.status
        return str((json.loads(self.log[-1].data).get("error") or {}).get("code"))

    @property
    def id(self) -> str:
        return next(iter(self.ids), "none")


def read_bill(lines: bytes) -> Counter[str]:
    """How many calls the provider has answered for each `user`."""
    return Counter(str(json.loads(line)["user"]) for line in lines.splitlines())


def read_bill_of_examples(lines: bytes) -> Counter[str]:
    """How many calls without a `user` the provider has answered, by the digest of their messages: those of examples."""
    calls = [json.loads(line) for line in lines.splitlines()]
    return Counter(call["messages"] for call in calls if call["user"] is None)


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The contents of Redis after the run.

    `without_expiry`: keys that never expire, except the job queue and the signing secret. `unknown`: streams that this
    run did not start. `outlived`: keys that still exist although their streams have expired. `queued` and `pending`:
    jobs in the queue, and jobs that a worker has taken.
    """

    without_expiry: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    outlived: tuple[str, ...] = ()
    queued: int = 0
    pending: int = 0
