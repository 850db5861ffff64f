"""Every step in every order, by workers that freeze, come back and repeat themselves: the server against the model."""

import asyncio
import itertools
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contract import job_queue
from contract.connection import Client, call_redis
from contract.digest import digest_name
from contract.event import Status
from contract.job_queue import Claim, Job, JobQueue, Once, OnceUse, Policy, Submission, Submitted
from contract.keys import USUAL_KEYS
from contract.live import LiveEvents, parse_live
from contract.position import START
from contract.redis_server import TRUSTED_IDLE_S, Place, PubSubConnection, command_server
from contract.redis_server import Server as RedisServer
from contract.run_record import read_run
from contract.stream_log import Batch, Ending, StreamLog
from contract.topology import parse_topology
from tests.broker import Broker
from tests.contract.model import Lease, Run, Turns
from tests.redis_keys import JOBS, KEYS, TURNS, backlog_key, stream_keys

T = TypeVar("T")

ON_LOST = st.sampled_from(["restart", "restart", "fail"])
WORKERS = st.sampled_from(["w1", "w2"])
BACK = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3])
"""The newest, mostly; at times one of the older ones."""
CALLERS = st.sampled_from(["key:a", "key:a", "key:b"])
ROOM = st.sampled_from([0, 0, 1, 3])
MOST_RUNS, MAX_LOST, MAX_EPOCHS = 5, 3, 8
EXAMPLES = int(os.environ.get("EXAMPLES", "12"))
"""More of them for an afternoon's hunt."""

PENDING = "return redis.call('XPENDING', KEYS[1], 'workers', '-', '+', 100)"
KEYS_WITHOUT_EXPIRY = """
local eternal = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('PTTL', key) < 0 then eternal[#eternal + 1] = key end
end
return eternal
"""

STATUSES = st.sampled_from([Status.COMPLETED, Status.CANCELLED, Status.FAILED])


def pick(among: list[T], back: int) -> T:
    return among[-1 - back % len(among)]


class RepeatingServer(RedisServer):
    """While it repeats, sends each call twice and returns the second reply, as after a broken connection."""

    repeats = False

    async def exchange(self, packed: bytes, replies: int) -> list[Any]:
        if self.repeats:
            await super().exchange(packed, replies)
        return await super().exchange(packed, replies)


class Server:
    """A client of the broker and a subscription to all streams, for all examples of one test."""

    def __init__(self, runner: asyncio.Runner, url: str) -> None:
        self.runner = runner
        plain = command_server(Place(url), 32, TRUSTED_IDLE_S)
        self.repeating = RepeatingServer(connection_pool=plain.connection_pool)
        self.repeating.slots = plain.slots
        self.client = Client(parse_topology(url), lambda _: self.repeating, USUAL_KEYS)
        self.subscription = PubSubConnection(Place(url))

    async def open(self) -> None:
        await self.subscription.open()
        await self.subscription.send("PSUBSCRIBE", "mc:*:live")
        await self.subscription.receive()

    async def close(self) -> None:
        await self.subscription.close()
        await self.repeating.connection_pool.aclose()

    async def published(self) -> list[tuple[str, bytes]]:
        """What was published since the last call: channel and payload."""
        await self.subscription.send("PING")
        received = []
        while (push := await self.subscription.receive())[0] != b"pong":
            received.append((push[2].decode(), bytes(push[3])))
        return received


class Runs(RuleBasedStateMachine):
    """Two workers, up to five runs of two callers. A worker that is not asked for a while is a frozen one: its leases
    stay in `leases`, and it tries them again when it wakes."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.client = self.server.client
        self.server.repeating.repeats = False
        self.runs: list[Run] = []
        self.line = Turns()
        self.leases: list[Lease] = []
        self.delivered: list[tuple[str, Run]] = []
        self.replayed: dict[str, list[bytes]] = {}
        self.queue, self.log = JobQueue(self.client, 600_000), StreamLog(self.client, 300_000)
        self.names = itertools.count()
        self.wait(call_redis(self.client, "FLUSHALL"))
        self.wait(self.queue.open())
        self.wait(self.server.published())

    def wait(self, step: Coroutine[Any, Any, T]) -> T:
        return self.server.runner.run(step)

    # What may happen

    @initialize(caller=CALLERS, on_lost=ON_LOST)
    def begin(self, caller: str, on_lost: str) -> None:
        self.submit(caller, on_lost)
        self.take("w1", 1, claims=True, room=0)

    @rule(caller=CALLERS, on_lost=ON_LOST)
    @precondition(lambda self: len(self.runs) < MOST_RUNS)
    def submit(self, caller: str, on_lost: str) -> None:
        stream_id = f"{len(self.runs):022d}"
        once = Once(f"key-{stream_id}", OnceUse.KEY, 600_000)
        submission = Submission(stream_id, b"{}", "demo", Policy(on_lost), "b", once, caller=caller)
        assert self.wait(self.queue.submit(submission, 20)) == (Submitted.OK, stream_id)
        run = Run(stream_id, caller, on_lost, MAX_LOST, MAX_EPOCHS)
        self.runs.append(run)
        self.replayed[stream_keys(stream_id).live] = []
        self.line.add(run)
        self.learn_entries()

    def learn_entries(self) -> None:
        for run in self.line.joined:
            if run.job is None:
                entry = self.wait(call_redis(self.client, "HGET", stream_keys(run.stream_id).meta, "job"))
                run.job = Job(entry.decode(), run.stream_id)

    @rule(repeats=st.booleans(), forgets=st.booleans())
    def disturb(self, repeats: bool, forgets: bool) -> None:
        self.server.repeating.repeats = repeats
        if forgets:
            self.wait(call_redis(self.client, "SCRIPT", "FLUSH"))

    @rule(worker=WORKERS, limit=st.integers(1, 2), claims=st.booleans(), room=ROOM)
    def take(self, worker: str, limit: int, claims: bool, room: int) -> None:
        new, self.line.untaken = self.line.untaken[:limit], self.line.untaken[limit:]
        self.deliver(worker, new, self.wait(self.queue.take(self.client, worker, limit, 1)), claims, room)

    @rule(worker=WORKERS, limit=st.integers(1, 3), claims=st.booleans(), room=ROOM)
    def take_over(self, worker: str, limit: int, claims: bool, room: int) -> None:
        """No lease has been renewed for long."""
        overdue = [run for run in self.line.joined if run.holder is not None][:limit]
        self.deliver(worker, overdue, self.wait(self.queue.take_over(worker, 0, limit)), claims, room)

    def deliver(self, worker: str, expected: list[Run], jobs: list[Job], claims: bool, room: int) -> None:
        assert jobs == [run.job for run in expected]
        for run in expected:
            run.holder = worker
            self.delivered.append((worker, run))
            if claims:
                self.claim_job(worker, run, room)

    @rule(back=BACK, room=ROOM)
    @precondition(lambda self: self.delivered)
    def claim(self, back: int, room: int) -> None:
        self.claim_job(*pick(self.delivered, back), room)

    def claim_job(self, worker: str, run: Run, room: int) -> Claim:
        assert run.job is not None
        claim = self.wait(self.queue.claim(run.job, worker, MAX_LOST, MAX_EPOCHS, room=room))
        assert (claim.verdict, claim.epoch, claim.next_seq) == run.claim(worker)
        if claim.epoch:
            self.leases.append(Lease(run, worker, claim.epoch, claim.next_seq))
            self.line.pass_turn(run, room)
            self.learn_entries()
        return claim

    @rule(back=BACK, count=st.integers(1, 3), off=st.integers(-2, 1))
    @precondition(lambda self: self.leases)
    def append(self, back: int, count: int, off: int) -> None:
        lease = pick(self.leases, back)
        first = max(1, lease.next_seq + off)
        lines = [b'chunk {"number":%d}' % next(self.names) for _ in range(count)]
        written = self.write(Batch(lease.run.stream_id, lease.epoch, first, lines))
        assert written == lease.run.append(lease, first, lines)
        if written[0] == "ok":
            lease.next_seq = written[1] + 1

    @rule(back=BACK, count=st.integers(0, 2), off=st.integers(-2, 1), status=STATUSES)
    @precondition(lambda self: self.leases)
    def finish(self, back: int, count: int, off: int, status: Status) -> None:
        lease = pick(self.leases, back)
        assert lease.run.job is not None
        first = max(1, lease.next_seq + off)
        lines = [b'chunk {"number":%d}' % next(self.names) for _ in range(count)]
        lines.append(b'done {"status":"%s"}' % status.encode())
        ending = Ending(status, lease.run.job.entry)
        written = self.write(Batch(lease.run.stream_id, lease.epoch, first, lines, ending))
        assert written == lease.run.finish(lease, first, lines, status)

    def write(self, batch: Batch) -> tuple[str, int]:
        (written,) = self.wait(self.log.write([batch]))
        assert not isinstance(written, Exception), written
        return str(written.status), written.seq

    @rule(back=BACK)
    @precondition(lambda self: self.leases)
    def renew(self, back: int) -> None:
        lease = pick(self.leases, back)
        assert self.wait(self.queue.renew(lease.worker, [self.known(lease)])) == [lease.run.renew(lease)]

    @rule(back=BACK)
    @precondition(lambda self: self.leases)
    def release(self, back: int) -> None:
        lease = pick(self.leases, back)
        assert self.wait(self.queue.release(lease.worker, [self.known(lease)])) == [lease.run.release(lease)]

    def known(self, lease: Lease) -> job_queue.Lease:
        assert lease.run.job is not None
        return job_queue.Lease(lease.run.job, lease.epoch)

    @rule(back=BACK)
    @precondition(lambda self: self.runs)
    def cancel(self, back: int) -> None:
        run = pick(self.runs, back)
        answer = self.wait(self.queue.cancel(run.stream_id))
        done = b""
        if answer == "cancelled" and not run.is_final:
            self.line.leave(run)
            self.learn_entries()
            done = self.wait(call_redis(self.client, "HGET", stream_keys(run.stream_id).meta, "done"))
        assert answer == run.cancel(b"done " + done)

    @rule(worker=WORKERS)
    def leave(self, worker: str) -> None:
        self.wait(self.queue.forget_worker(worker))

    # What always holds

    @invariant()
    def all_see_the_model(self) -> None:
        self.wait(self.compare())

    async def compare(self) -> None:
        for channel, payload in await self.server.published():
            self.replay(channel, payload)
        await asyncio.gather(*map(self.compare_run, self.runs), self.compare_queue())

    async def compare_run(self, run: Run) -> None:
        events, record = await asyncio.gather(
            self.log.read_page(run.stream_id, START), read_run(self.client, run.stream_id)
        )
        log = [(*event.position, event.kind.encode() + b" " + event.data) for event in events]
        assert log == run.log
        assert self.replayed[stream_keys(run.stream_id).live] == [b"%d-%d %s" % line for line in log]
        dones = [index for index, line in enumerate(log, 1) if line[2].startswith(b"done ")]
        assert dones == ([len(log)] if run.is_final else [])
        assert record is not None
        assert (record.status, record.epoch) == (run.status, run.epoch)
        assert record.last == (log[-1][:2] if log else (0, 0))

    async def compare_queue(self) -> None:
        queued, pending, eternal = await asyncio.gather(
            call_redis(self.client, "XRANGE", JOBS, "-", "+"),
            call_redis(self.client, "EVAL", PENDING, 1, JOBS),
            call_redis(self.client, "EVAL", KEYS_WITHOUT_EXPIRY, 0),
        )
        waiting = [run.job.entry for run in self.line.joined if run.job and not run.is_final]
        assert [name.decode() for name, _ in queued] == waiting
        holders = [(run.job.entry, run.holder) for run in self.line.joined if run.job and run.holder]
        assert [(entry.decode(), holder.decode()) for entry, holder, *_ in pending] == holders
        backlogs = [backlog_key(digest_name(caller)) for caller, runs in self.line.backlogs.items() if runs]
        turns = [TURNS] if self.line.turns else []
        assert sorted({key.decode() for key in eternal} - {KEYS.partitions}) == sorted([JOBS, *turns, *backlogs])

    def replay(self, channel: str, payload: bytes) -> None:
        """As a gateway does that missed nothing."""
        live = parse_live(payload)
        assert live is not None
        if isinstance(live, LiveEvents):
            log = self.replayed[channel]
            assert live.before == (log[-1].split(b" ")[0] if log else b"0-0")
            log += [b" ".join(entry) for entry in live.entries]

    def teardown(self) -> None:
        """Whatever has happened, one worker that stays makes an end of all of it."""
        self.server.repeating.repeats = False
        self.take_over("w9", 10, claims=False, room=0)
        self.take("w9", 10, claims=False, room=0)
        while held := [run for run in self.runs if run.holder == "w9"]:
            for run in held:
                claim = self.claim_job("w9", run, 1)
                assert run.job is not None
                lines, ending = [b'done {"status":"failed"}'], Ending(Status.FAILED, run.job.entry)
                written = self.write(Batch(run.stream_id, claim.epoch, claim.next_seq, lines, ending))
                lease = Lease(run, "w9", claim.epoch, claim.next_seq)
                assert written == run.finish(lease, claim.next_seq, lines, "failed") == ("ok", claim.next_seq)
            # Its claims have let others into the line.
            self.take("w9", 10, claims=False, room=0)
        assert all(run.is_final for run in self.runs)
        self.wait(self.compare())


def test_whatever_workers_do_the_log_is_what_the_model_says(any_broker: Broker) -> None:
    with asyncio.Runner() as runner:
        server = Server(runner, any_broker.url)
        runner.run(server.open())
        try:
            machine = type("RunsOnOneServer", (Runs,), {"server": server})
            checks = (HealthCheck.too_slow, HealthCheck.filter_too_much)
            size = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None, suppress_health_check=checks)
            run_state_machine_as_test(machine, settings=size)
        finally:
            runner.run(server.close())
