"""Several partitions on one Redis: the services agree on their number, and each run lives in one of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

import pytest

from contract.connection import Client, call_redis, command_client
from contract.digest import digest_name
from contract.event import Status
from contract.job_queue import Job, Lease, Once, OnceUse, StorageLimits, Submission, Submitted, Verdict
from contract.keys import KeySpace, Partitions
from contract.partitions import PartitionsDisagreeError, agree_on_partitions, keep_agreement
from contract.questions import Answered, Parked, Questions
from contract.recent_runs import RecentRun, add_recent_run, read_recent_runs
from contract.run_record import read_run
from contract.stream_id import new_stream_id, partition_of
from contract.stream_log import Batch, Ending
from manycast.chaos.redis_cluster import RedisCluster
from tests.broker import Broker
from tests.contract.store import LIFETIME_MS, MAX_WAITING, ChannelReader, Store, chunk_lines, done_line
from tests.topologies import redis_cluster
from tests.viewers import until

COUNT = 8
DEADLINE_S = 60.0


@pytest.fixture
async def spread(any_broker: Broker, any_client: Client) -> AsyncIterator[Store]:
    """A deployment with several partitions."""
    client = command_client(any_broker.url, KeySpace(wanted_partitions=COUNT))
    yield await Store.on(any_broker.url, client, client)
    await client.aclose()


def in_partition(store: Store, partition: int, **more: object) -> Submission:
    stream_id = new_stream_id(private=False, partition=partition)
    return replace(store.submission(), stream_id=stream_id, **more)  # type: ignore[arg-type]


async def submit(store: Store, submission: Submission) -> str:
    assert await store.queue.submit(submission, MAX_WAITING) == (Submitted.OK, submission.stream_id)
    return submission.stream_id


async def take(store: Store, worker: str, partitions: Sequence[int] = range(COUNT), limit: int = 10) -> list[Job]:
    taken = await store.queue.take_now(worker, dict.fromkeys(partitions, limit))
    return [job for jobs in taken.values() for job in jobs]


async def test_the_first_service_decides_how_many_partitions_there_are(any_broker: Broker, any_client: Client) -> None:
    wanted = [COUNT, None, 1]
    clients = [command_client(any_broker.url, KeySpace(wanted_partitions=count)) for count in wanted]
    assert [(await agree_on_partitions(client)).count for client in clients[:2]] == [COUNT, COUNT]
    with pytest.raises(PartitionsDisagreeError, match="Redis has 8 partitions, and MANYCAST_PARTITIONS is 1"):
        await agree_on_partitions(clients[2])
    for client in clients:
        await client.aclose()


async def test_without_a_setting_one_redis_has_one_partition(any_client: Client) -> None:
    assert (await agree_on_partitions(any_client)).count == 1


async def test_an_idempotency_key_finds_its_run_after_the_number_was_raised(any_broker: Broker, spread: Store) -> None:
    once = Once(sha256(b"k").hexdigest(), OnceUse.KEY, LIFETIME_MS)
    partition = await spread.queue.choose_partition(once)
    first = await submit(spread, in_partition(spread, partition, once=once))
    await call_redis(spread.client, "HSET", spread.client.key_space.partitions, "count", 200)
    client = command_client(any_broker.url)
    later = await Store.on(any_broker.url, client, client)
    assert await later.queue.choose_partition(once) == partition
    again = in_partition(later, partition, once=once)
    assert await later.queue.submit(again, MAX_WAITING) == (Submitted.KNOWN, first)
    assert {await later.queue.choose_partition(None) for _ in range(3000)} > set(range(100, 190))
    await client.aclose()


async def test_services_look_for_a_key_in_the_same_partition_after_redis_was_emptied(
    any_broker: Broker, spread: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number was raised before, and is stored again as if a new deployment had begun with it."""
    monkeypatch.setattr("contract.partitions.KEEP_EVERY_S", 0.02)
    await call_redis(spread.client, "HSET", spread.client.key_space.partitions, "count", 2 * COUNT)
    running = command_client(any_broker.url)
    assert await agree_on_partitions(running) == Partitions(2 * COUNT, COUNT)
    keeping = asyncio.create_task(keep_agreement(running))
    await call_redis(spread.client, "DEL", spread.client.key_space.partitions)
    await until(lambda: running.partitions == Partitions(2 * COUNT, 2 * COUNT))
    started = command_client(any_broker.url)
    assert await agree_on_partitions(started) == running.partitions
    keeping.cancel()
    await asyncio.wait([keeping])
    for client in (running, started):
        await client.aclose()


async def test_a_worker_goes_on_after_another_service_has_stored_fewer_partitions(
    any_broker: Broker, spread: Store
) -> None:
    """Redis was emptied. The worker still looks at the partitions that are left."""
    running = command_client(any_broker.url)
    worker = await Store.on(any_broker.url, running, running)
    assert await worker.queue.count_partitions() == COUNT
    await call_redis(spread.client, "HSET", spread.client.key_space.partitions, "count", 1, "keyed", 1)
    with pytest.raises(PartitionsDisagreeError):
        await worker.queue.recover("w1", range(COUNT))
    assert set(await worker.queue.recover("w1", range(COUNT))) == set(range(COUNT))
    await running.aclose()


async def test_keys_and_runs_without_one_reach_every_partition(spread: Store) -> None:
    digests = [sha256(str(number).encode()).hexdigest() for number in range(200)]
    keyed = {await spread.queue.choose_partition(Once(digest, OnceUse.KEY, 1)) for digest in digests}
    assert keyed == {await spread.queue.choose_partition(None) for _ in range(500)} == set(range(COUNT))


async def test_everything_of_a_run_is_in_its_partition(spread: Store) -> None:
    for partition in range(COUNT):
        await submit(spread, in_partition(spread, partition, caller="key:a"))
    for job in await take(spread, "w1"):
        claim = await spread.claim(job, "w1")
        assert claim.verdict is Verdict.RUN
        tag = f"mc:{{p{job.partition:02x}}}:"
        assert job.partition == partition_of(job.stream_id)
        held = [key.decode() for key in await call_redis(spread.client, "KEYS", f"*{job.stream_id}*")]
        assert held
        assert [key for key in held if not key.startswith(tag)] == []


async def test_the_doorbell_names_the_partition_of_every_new_job(spread: Store) -> None:
    async with ChannelReader.on(spread.url, spread.client.key_space.control) as reader:
        # The second run of the caller joins the line when the first one is claimed.
        ids = [await submit(spread, in_partition(spread, 3, caller="key:a")) for _ in range(2)]
        assert await reader.received() == [b"jobs 03"]
        (job,) = await take(spread, "w1")
        await spread.claim(job, "w1")
        assert await reader.received() == [b"jobs 03"]
        assert [job.stream_id for job in await take(spread, "w1")] == ids[1:]


async def test_with_one_partition_no_doorbell_rings(store: Store) -> None:
    async with ChannelReader.on(store.url, store.client.key_space.control) as reader:
        await store.start()
        assert await reader.received() == []


async def test_a_look_finds_what_no_doorbell_has_told(spread: Store) -> None:
    await submit(spread, in_partition(spread, 2))
    await submit(spread, in_partition(spread, 5))
    await take(spread, "dead", [5])
    looks = await spread.queue.look(range(COUNT), 0)
    assert [partition for partition, look in looks.items() if look.has_jobs] == [2]
    assert [partition for partition, look in looks.items() if look.has_overdue] == [5]
    (job,) = await spread.queue.take_over("w1", 0, 10, 5)
    assert (await spread.claim(job, "w1")).verdict is Verdict.RUN


async def test_a_worker_gets_back_what_it_was_given_in_any_partition(spread: Store) -> None:
    for partition in (0, 4, 7):
        await submit(spread, in_partition(spread, partition))
    jobs = await take(spread, "w1")
    assert await spread.queue.delivered("w1") == jobs
    assert await spread.queue.recover("w1", [4, 5]) == {4: [jobs[1]], 5: []}


async def test_a_job_whose_run_is_gone_is_retired_in_its_partition(spread: Store) -> None:
    stream_id = await submit(spread, in_partition(spread, 6))
    (job,) = await take(spread, "w1")
    await call_redis(spread.client, "XDEL", spread.client.key_space.queue(6).jobs, job.entry)
    await call_redis(spread.client, "DEL", spread.client.key_space.stream(stream_id).meta)
    (ghost,) = await spread.queue.delivered("w1")
    assert (ghost.stream_id, ghost.partition) == ("", 6)
    assert (await spread.claim(ghost, "w1")).verdict is Verdict.GONE
    assert await spread.queue.delivered("w1") == []


async def test_a_released_job_is_announced_with_its_partition(spread: Store) -> None:
    await submit(spread, in_partition(spread, 4))
    (job,) = await take(spread, "w1")
    claim = await spread.claim(job, "w1")
    async with ChannelReader.on(spread.url, spread.client.key_space.control) as reader:
        await spread.queue.release("w1", [Lease(job, claim.epoch)])
        assert await reader.received() == [b"released 04"]
    assert [taken.stream_id for taken in await spread.queue.take_over("w2", 43_200_000, 1, 4)] == [job.stream_id]


@pytest.mark.parametrize("by", ["an answer", "an alarm"])
async def test_a_parked_run_is_queued_again_in_its_partition(spread: Store, by: str) -> None:
    await submit(spread, in_partition(spread, 5))
    (job,) = await take(spread, "w1")
    lease = Lease(job, (await spread.claim(job, "w1")).epoch)
    questions = Questions(spread.client)
    await questions.ask(job.stream_id, lease.epoch, {"id": "1"}, "")
    assert await questions.park(lease, LIFETIME_MS, 1, ["1"]) is Parked.OK
    async with ChannelReader.on(spread.url, spread.client.key_space.control) as reader:
        if by == "an alarm":
            await questions.ring()
        else:
            assert (await questions.answer(job.stream_id, "1", {"value": 1}))[0] is Answered.OK
        assert await reader.received() == [b"jobs 05"]
    assert [taken.stream_id for taken in await take(spread, "w2")] == [job.stream_id]


async def test_a_callers_limit_holds_over_all_partitions(spread: Store) -> None:
    answers = [
        (await spread.queue.submit(in_partition(spread, at, caller="key:a", max_at_once=3), MAX_WAITING))[0]
        for at in range(5)
    ]
    assert answers == ["ok", "ok", "ok", "busy", "busy"]
    assert await call_redis(spread.client, "ZCARD", spread.client.key_space.account(digest_name("key:a")).open) == 3


async def test_each_partition_has_its_share_of_the_waiting_runs(spread: Store) -> None:
    async def fill(partition: int) -> int:
        count = 0
        while (await spread.queue.submit(in_partition(spread, partition), 200))[0] is Submitted.OK:
            count += 1
        return count

    assert [await fill(0), await fill(1)] == [25, 25]


async def test_the_latest_runs_of_all_partitions_are_listed_by_age(spread: Store) -> None:
    ids = []
    for partition in (3, 1, 7, 1, 0):
        ids.append(new_stream_id(private=False, partition=partition))
        await add_recent_run(spread.client, RecentRun(ids[-1], "Why?"), 60_000)
        # Entries of one millisecond have no order.
        async with asyncio.timeout(DEADLINE_S):
            before = await call_redis(spread.client, "TIME")
            while await call_redis(spread.client, "TIME") < (before[0], before[1] + 2000):
                pass
    assert [run.stream_id for run in await read_recent_runs(spread.client, 4)] == ids[:0:-1]


async def test_a_cancelled_and_a_deleted_run_pass_the_turn_in_their_partition(spread: Store) -> None:
    ids = [await submit(spread, in_partition(spread, 2, caller="key:a")) for _ in range(3)]
    assert await spread.queue.cancel(ids[0]) == "cancelled"
    await spread.queue.delete(ids[1])
    assert [job.stream_id for job in await take(spread, "w1")] == [ids[2]]
    assert await read_run(spread.client, ids[1]) is None


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with redis_cluster() as cluster:
        yield cluster


async def test_a_cluster_runs_every_script_because_each_stays_in_one_slot(cluster: RedisCluster) -> None:
    await asyncio.to_thread(cluster.wait_until_well)
    client = command_client(cluster.url)
    store = await Store.on(cluster.url, client, client)
    assert await store.queue.count_partitions() == 128
    limits = StorageLimits(caller_bytes=1 << 20, reserve_percent=25)
    for partition in (0, 17, 127):
        ids = []
        for number in range(5):
            digest = sha256(f"{partition} {number}".encode()).hexdigest()
            once = Once(digest, OnceUse.RETRY, LIFETIME_MS)
            submission = in_partition(store, partition, caller="key:a", max_at_once=9, once=once)
            assert await store.queue.submit(submission, MAX_WAITING, limits) == (Submitted.OK, submission.stream_id)
            await add_recent_run(client, RecentRun(submission.stream_id, "Why?"), 60_000)
            ids.append(submission.stream_id)
        assert (await store.queue.look([partition], 0))[partition].has_jobs
        assert await store.queue.cancel(ids[0]) == "cancelled"
        jobs = {job.stream_id: job for job in await take(store, "w1", [partition], 1)}
        leases = []
        for stream_id in ids[1:]:
            claim = await store.claim(jobs[stream_id], "w1")
            assert claim.verdict is Verdict.RUN
            leases.append(Lease(jobs[stream_id], claim.epoch))
            jobs |= {job.stream_id: job for job in await take(store, "w1", [partition], 1)}
        finished, parked, released, deleted = leases
        assert await store.queue.renew("w1", leases) == ["ok"] * 4
        ending = Ending(Status.COMPLETED, finished.job.entry)
        lines = [*chunk_lines("a"), done_line()]
        await store.write(Batch(finished.job.stream_id, 1, 1, lines, ending))
        questions = Questions(client)
        await questions.ask(parked.job.stream_id, 1, {"id": "1"}, "")
        assert await questions.park(parked, LIFETIME_MS, 1, ["1"]) is Parked.OK
        await questions.ring()
        assert (await read_run(client, parked.job.stream_id)).status == "queued"  # type: ignore[union-attr]
        assert await store.queue.release("w1", [released]) == ["ok"]
        assert len(await store.queue.take_over("w2", 43_200_000, 9, partition)) == 1
        await store.queue.delete(deleted.job.stream_id)
        await store.log.settled()
    assert len(await read_recent_runs(client, 100)) == 12
    assert await call_redis(client, "ZCARD", client.key_space.account(digest_name("key:a")).open) == 6
    await store.queue.forget_worker("w9")
    await client.aclose()
