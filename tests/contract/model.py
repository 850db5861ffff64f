"""What a run must do, said as simply as possible: no Redis, no keys, no scripts. The steps are checked against it."""

from dataclasses import dataclass, field

from contract.job_queue import Job, Verdict

Line = tuple[int, int, bytes]
"""epoch, seq, `kind SP json`."""


@dataclass
class Lease:
    """What a worker believes to hold. It may have lost it long ago, and not know."""

    run: "Run"
    worker: str
    epoch: int
    next_seq: int


@dataclass
class Run:
    """One run as everybody must see it. `holder` is whom its job stands delivered to."""

    stream_id: str
    caller: str
    on_lost: str
    max_lost: int
    max_epochs: int
    job: Job | None = None
    status: str = "queued"
    epoch: int = 0
    log: list[Line] = field(default_factory=list)
    holder: str | None = None
    owner: str | None = None
    is_released: bool = False
    is_cancelled: bool = False
    lost: int = 0

    @property
    def is_final(self) -> bool:
        return self.status not in ("queued", "running")

    def last_seq(self, epoch: int) -> int:
        return self.log[-1][1] if self.log and self.log[-1][0] == epoch else 0

    def holds(self, lease: Lease) -> bool:
        return lease.epoch == self.epoch and self.status == "running"

    def claim(self, worker: str) -> tuple[Verdict, int, int]:
        if self.is_final or self.holder != worker:
            return Verdict.GONE, 0, 1
        if self.owner not in (None, worker) and not self.is_released:
            self.lost += 1
        reason = "worker_stopped" if self.is_released else "worker_lost"
        self.epoch += 1
        self.status, self.owner, self.is_released = "running", worker, False
        if self.is_cancelled:
            return Verdict.CANCELLED, self.epoch, 1
        is_second = self.lost > 0 or bool(self.log)
        if self.lost >= self.max_lost or self.epoch > self.max_epochs or (is_second and self.on_lost == "fail"):
            return Verdict.LOST, self.epoch, 1
        if not self.log:
            return Verdict.RUN, self.epoch, 1
        self.log.append((self.epoch, 1, b'restart {"epoch":%d,"reason":"%s"}' % (self.epoch, reason.encode())))
        return Verdict.RUN, self.epoch, 2

    def append(self, lease: Lease, first: int, lines: list[bytes]) -> tuple[str, int]:
        if not self.holds(lease):
            return "lost", 0
        if self.is_cancelled:
            return "cancelled", self.last_seq(lease.epoch)
        return self._write(lease.epoch, first, lines)

    def finish(self, lease: Lease, first: int, lines: list[bytes], status: str) -> tuple[str, int]:
        had = self.last_seq(lease.epoch)
        if lease.epoch == self.epoch and self.is_final:
            return "ok", had
        if not self.holds(lease):
            return "lost", 0
        answer = self._write(lease.epoch, first, lines[:-1])
        if answer[0] == "hole":
            return answer
        self.log.append((lease.epoch, answer[1] + 1, lines[-1]))
        self._end(status)
        return "ok", answer[1] + 1

    def _write(self, epoch: int, first: int, lines: list[bytes]) -> tuple[str, int]:
        had = self.last_seq(epoch)
        if first > had + 1:
            return "hole", had
        self.log += [(epoch, seq, line) for seq, line in enumerate(lines, first) if seq > had]
        return "ok", self.last_seq(epoch)

    def renew(self, lease: Lease) -> str:
        if not self.holds(lease):
            return "lost"
        self.holder = lease.worker
        return "cancelled" if self.is_cancelled else "ok"

    def release(self, lease: Lease) -> str:
        if lease.epoch == self.epoch and self.is_released:
            return "ok"
        if not self.holds(lease):
            return "lost"
        self.status, self.is_released, self.holder = "queued", True, lease.worker
        return "ok"

    def cancel(self, done: bytes) -> str:
        if self.status == "running":
            self.is_cancelled = True
            return "cancelling"
        if not self.is_final:
            self.epoch += 1
            self.log.append((self.epoch, 1, done))
            self._end("cancelled")
        return self.status

    def _end(self, status: str) -> None:
        self.status, self.holder, self.is_released = status, None, False


@dataclass
class Turns:
    """Whose run is next. `joined`: all runs that a worker may have or get, in the order in which they joined."""

    joined: list[Run] = field(default_factory=list)
    untaken: list[Run] = field(default_factory=list)
    backlogs: dict[str, list[Run]] = field(default_factory=dict)
    turns: dict[str, Run] = field(default_factory=dict)

    def add(self, run: Run) -> None:
        if run.caller in self.turns:
            self.backlogs.setdefault(run.caller, []).append(run)
        else:
            self._begin_turn(run.caller, [run])

    def pass_turn(self, run: Run, room: int) -> None:
        if self.turns.get(run.caller) is not run:
            return
        del self.turns[run.caller]
        backlog = self.backlogs.get(run.caller, [])
        size = max(1, room - len(self.untaken))
        turn, self.backlogs[run.caller] = backlog[:size], backlog[size:]
        if turn:
            self._begin_turn(run.caller, turn)

    def leave(self, run: Run) -> None:
        """The run is cancelled while it waits."""
        if run in self.backlogs.get(run.caller, []):
            self.backlogs[run.caller].remove(run)
            return
        self.pass_turn(run, 0)
        if run in self.untaken:
            self.untaken.remove(run)

    def _begin_turn(self, caller: str, runs: list[Run]) -> None:
        self.joined += runs
        self.untaken += runs
        self.turns[caller] = runs[-1]
