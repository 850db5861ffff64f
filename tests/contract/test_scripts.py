"""The scripts by name: loaded where Redis does not know them, refused without half a step where it takes no writes."""

import re
from collections.abc import Coroutine, Sequence
from importlib.resources import files
from typing import Any

import pytest

from contract.connection import Client, call_redis, command_client
from contract.errors import BrokerFullError, BrokerRefusedError, BrokerUnavailableError
from contract.event import Status
from contract.job_queue import Lease, Submit, Submitted, Verdict
from contract.scripts import Call, check_right, load_script, run_call, run_calls
from contract.stream_log import Batch, Ending, StreamLog, WriteResult, WriteStatus
from contract.worker_registry import WorkerOffer, announce, leave, read_offers
from tests.broker import Broker
from tests.contract.store import MAX_WAITING, RETENTION_MS, Store, chunk_lines, done_line
from tests.redis_keys import CONTROL, JOBS, OFFERS, WORKERS, stream_keys

NAMES = sorted(path.name.removesuffix(".lua") for path in (files("contract") / "lua").iterdir())
STEPS = [
    name
    for name in NAMES
    if name not in ("now_ms", "sum_viewers", "turns", "write_events", "account", "close_run", "wake", "beside", "line")
]


@pytest.mark.parametrize("name", STEPS)
async def test_redis_compiles_every_script(store: Store, name: str) -> None:
    script = load_script(name)
    assert await call_redis(store.client, "SCRIPT", "LOAD", script.text) == script.digest.encode()


@pytest.mark.parametrize("name", STEPS)
def test_a_script_uses_no_undeclared_key(name: str) -> None:
    text = (files("contract") / "lua" / f"{name}.lua").read_text(encoding="utf-8")
    header = next(line for line in text.splitlines() if line.startswith("-- KEYS:"))
    named = {int(number) for number in re.findall(r"\b(\d+) [a-z]", header)}
    assert {int(number) for number in re.findall(r"KEYS\[(\d+)\]", text)} == named


def test_submit_names_its_arguments_in_the_order_in_which_they_are_sent() -> None:
    text = (files("contract") / "lua" / "submit.lua").read_text(encoding="utf-8")
    (names,) = re.findall(r"^local ([a-z_,\s]+) = unpack\(ARGV\)", text, re.MULTILINE)
    assert tuple(name.strip() for name in names.split(",")) == ("control", *Submit._fields)


async def test_a_pipeline_whose_scripts_redis_forgot_runs_in_order(store: Store) -> None:
    job, claim = await store.start()
    await call_redis(store.client, "SCRIPT", "FLUSH")
    # Redis knows the second step and not the first: it sees a hole until the first has been repeated.
    await call_redis(store.client, "SCRIPT", "LOAD", load_script("finish").text)
    lines = [*chunk_lines("c"), done_line()]
    written = await store.log.write(
        [
            Batch(job.stream_id, claim.epoch, 1, chunk_lines("a", "b")),
            Batch(job.stream_id, claim.epoch, 3, lines, Ending(Status.COMPLETED, job.entry)),
        ]
    )
    assert written == [WriteResult(WriteStatus.OK, 2), WriteResult(WriteStatus.OK, 4)]
    assert await store.positions(job.stream_id) == ["1-1", "1-2", "1-3", "1-4"]


async def test_a_script_that_ran_before_a_missing_one_may_run_again(store: Store) -> None:
    leases = []
    for worker in ("w1", "w2"):
        job, claim = await store.start(worker)
        leases.append(Lease(job, claim.epoch))
    await store.queue.renew("w1", leases[:1])
    await call_redis(store.client, "SCRIPT", "FLUSH")
    await call_redis(store.client, "SCRIPT", "LOAD", load_script("release").text)
    keys = [stream_keys(lease.job.stream_id) for lease in leases]
    calls = [
        Call("release", (keys[0].meta, JOBS), ("released 00", 1, "w1", leases[0].job.entry), (keys[0].live, CONTROL)),
        Call("renew", (keys[1].log, keys[1].meta, JOBS), (1, "w2", leases[1].job.entry, 600_000)),
    ]
    assert await run_calls(store.client, calls) == [b"ok", b"ok"]


async def test_a_replaced_server_learns_the_scripts_again(fragile_broker: Broker) -> None:
    client = command_client(fragile_broker.url)
    store = await Store.on(fragile_broker.url, client, client)
    await store.submit()
    fragile_broker.stop()
    with pytest.raises(BrokerUnavailableError):
        await store.submit()
    fragile_broker.start()
    await store.submit()
    assert len(await store.queued_entries()) == 2
    await client.aclose()


async def test_a_server_that_refuses_to_load_scripts_refuses_each_call(store: Store) -> None:
    await call_redis(
        store.client, "ACL", "SETUSER", "narrow", "reset", "on", ">pw", "~*", "&*", "+@all", "-script|load"
    )
    host, path = store.url.removeprefix("redis://").split("/")
    narrow = command_client(f"redis://narrow:pw@{host}/{path}")
    refusals = await run_calls(narrow, [Call("read_offers", (WORKERS, OFFERS), ())] * 2)
    assert [type(refusal) for refusal in refusals] == [BrokerRefusedError] * 2
    with pytest.raises(BrokerRefusedError):
        await run_call(narrow, Call("read_offers", (WORKERS, OFFERS), ()))
    await narrow.aclose()
    await call_redis(store.client, "ACL", "DELUSER", "narrow")


def commands_of(name: str) -> list[tuple[str, str]]:
    """Each script that runs, with each command in its text. Some commands have a second word."""
    text = load_script(name).text
    return [(name, "|".join(filter(None, found))) for found in set(re.findall(COMMAND, text))]


COMMAND = r"redis\.call\('([A-Z]+)'(?:, '([A-Z]+)')?"
EARLY = {("append", "HMGET"), ("append", "EXISTS"), ("append", "XADD")}
"""append calls these before it has written anything, so Redis itself refuses the whole script."""


async def narrow_client(store: Store, *rights: str) -> Client:
    await call_redis(store.client, "ACL", "SETUSER", "narrow", "reset", "on", ">pw", "~*", "+@all", *rights)
    host, path = store.url.removeprefix("redis://").split("/")
    return command_client(f"redis://narrow:pw@{host}/{path}")


@pytest.mark.parametrize("name", STEPS)
async def test_a_script_without_the_right_to_one_command_changes_nothing(store: Store, name: str) -> None:
    arguments = ["1"] * 30
    for number, (_, command) in enumerate(sorted(commands_of(name))):
        if (name, command) in EARLY or (name, command) in {("append", "XACK"), ("append", "XDEL")}:
            continue
        client = await narrow_client(store, "&*", f"-{command.lower()}")
        keys = tuple(f"mc:{{{name}{number}}}:{key}" for key in range(9))
        with pytest.raises(BrokerRefusedError, match=command.split("|")[0]):
            await run_call(client, Call(name, keys, arguments))
        assert await call_redis(store.client, "KEYS", f"mc:{{{name}{number}}}*") == []
        await client.aclose()
    await call_redis(store.client, "ACL", "DELUSER", "narrow")


@pytest.mark.parametrize("name", [name for name in STEPS if "call('PUBLISH'" in load_script(name).text])
async def test_a_script_without_the_right_to_its_channels_changes_nothing(store: Store, name: str) -> None:
    client = await narrow_client(store, "resetchannels")
    keys = tuple(f"mc:{{{name}}}:{key}" for key in range(9))
    with pytest.raises(BrokerRefusedError, match="PUBLISH"):
        await run_call(client, Call(name, keys, ["1"] * 30))
    await client.aclose()
    await call_redis(store.client, "ACL", "DELUSER", "narrow")


@pytest.mark.parametrize("name", STEPS)
def test_a_script_for_a_cluster_publishes_sharded_on_channels_of_streams_only(name: str) -> None:
    def published(publish: str) -> set[tuple[str, str]]:
        return set(re.findall(r"redis\.call\('(S?PUBLISH)', (\w+)", load_script(name, publish).text))

    assert published("PUBLISH") <= {("PUBLISH", "live"), ("PUBLISH", "control")}
    sharded = {(command if channel == "control" else "SPUBLISH", channel) for command, channel in published("PUBLISH")}
    assert published("SPUBLISH") == sharded


async def test_a_run_ends_once_although_publishing_was_refused_for_a_while(store: Store) -> None:
    job, claim = await store.start()
    client = await narrow_client(store, "resetchannels")
    ending = Batch(job.stream_id, claim.epoch, 1, [*chunk_lines("a"), done_line()], Ending(Status.COMPLETED, job.entry))
    before = await everything(store)
    for _ in range(3):
        (refusal,) = await StreamLog(client, RETENTION_MS).write([ending])
        assert isinstance(refusal, BrokerRefusedError)
    assert await everything(store) == before
    await call_redis(store.client, "ACL", "SETUSER", "narrow", "&*")
    assert await StreamLog(client, RETENTION_MS).write([ending]) == [WriteResult(WriteStatus.OK, 2)]
    assert await store.positions(job.stream_id) == ["1-1", "1-2"]
    await client.aclose()
    await call_redis(store.client, "ACL", "DELUSER", "narrow")


async def everything(store: Store) -> dict[bytes, bytes]:
    """What Redis holds, key by key. What a key is not alone in, such as its expiry and a group's clock, is left out."""
    held = {}
    for key in await call_redis(store.client, "KEYS", "*"):
        kind = await call_redis(store.client, "TYPE", key)
        read = {b"hash": ("HGETALL", key), b"stream": ("XRANGE", key, "-", "+"), b"zset": ("ZRANGE", key, 0, -1)}[kind]
        held[key] = repr(await call_redis(store.client, *read)).encode()
    return held


async def refused_writes(store: Store, running: Lease) -> list[object]:
    """Every kind of write of ours, against a server that takes none: what each came to."""
    job = running.job
    outcomes: list[object] = []
    calls = [
        store.queue.submit(store.submission(once="k"), MAX_WAITING),
        store.queue.cancel(f"{0:022d}"),
        store.queue.cancel(job.stream_id),
        store.claim(job, "w1"),
        announce(store.client, "w1", 60_000, WorkerOffer((), "demo")),
    ]
    for call in calls:
        try:
            outcomes.append(await call)
        except (BrokerRefusedError, BrokerUnavailableError) as error:
            outcomes.append(error)
    ending = Ending(Status.COMPLETED, job.entry)
    several: list[Coroutine[Any, Any, Sequence[object]]] = [
        store.queue.release("w1", [running]),
        store.log.write([Batch(job.stream_id, 1, 2, chunk_lines("b"))]),
        store.log.write([Batch(job.stream_id, 1, 2, [done_line()], ending)]),
        # Nothing of it is new but the end of the run.
        store.log.write([Batch(job.stream_id, 1, 1, [*chunk_lines("a"), done_line()], ending)]),
    ]
    for calls_of_several in several:
        try:
            outcomes += await calls_of_several
        except BrokerUnavailableError as error:
            outcomes.append(error)
    return outcomes


async def prepare(store: Store) -> Lease:
    """One run that waits, one that runs."""
    waiting = await store.submit()
    assert waiting == f"{0:022d}"
    await store.submit()
    first, second = await store.take("w1")
    claim = await store.claim(second, "w1")
    await store.write(Batch(second.stream_id, claim.epoch, 1, chunk_lines("a")))
    await call_redis(store.client, "XACK", JOBS, "workers", first.entry)
    await announce(store.client, "w0", 60_000, WorkerOffer((), "demo"))
    return Lease(second, claim.epoch)


async def test_without_memory_each_write_is_refused_whole_and_works_later(store: Store) -> None:
    lease = await prepare(store)
    before = await everything(store)
    await call_redis(store.client, "CONFIG", "SET", "maxmemory", "1")
    try:
        assert [type(outcome) for outcome in await refused_writes(store, lease)] == [BrokerFullError] * 9
        # A lease is kept nevertheless, and an end of life is told.
        assert await store.queue.renew("w1", [lease]) == [WriteStatus.OK]
    finally:
        await call_redis(store.client, "CONFIG", "SET", "maxmemory", "0")
    assert await everything(store) == before
    assert await store.write(Batch(lease.job.stream_id, 1, 2, chunk_lines("b"))) == ("ok", 2)
    assert await store.keys_without_expiry() == []


async def test_a_worker_may_leave_while_redis_has_no_memory(store: Store) -> None:
    await announce(store.client, "w0", 60_000, WorkerOffer((), "demo"))
    await call_redis(store.client, "CONFIG", "SET", "maxmemory", "1")
    try:
        await leave(store.client, "w0")
    finally:
        await call_redis(store.client, "CONFIG", "SET", "maxmemory", "0")
    assert await read_offers(store.client) == []


async def test_a_replica_is_unavailable_for_each_write_and_takes_it_when_it_leads_again(store: Store) -> None:
    lease = await prepare(store)
    before = await everything(store)
    await call_redis(store.client, "REPLICAOF", "127.0.0.1", "1")
    try:
        assert [type(outcome) for outcome in await refused_writes(store, lease)] == [BrokerUnavailableError] * 9
        with pytest.raises(BrokerUnavailableError):
            await store.queue.renew("w1", [lease])
    finally:
        await call_redis(store.client, "REPLICAOF", "NO", "ONE")
    assert await everything(store) == before
    assert (await store.queue.submit(store.submission(), MAX_WAITING))[0] is Submitted.OK
    assert (await store.claim(lease.job, "w1")).verdict is Verdict.RUN


async def test_a_frozen_server_is_unavailable_and_each_call_may_be_repeated(
    fragile_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = command_client(fragile_broker.url)
    store = await Store.on(fragile_broker.url, client, client)
    job, claim = await store.start()
    batch = Batch(job.stream_id, claim.epoch, 1, chunk_lines("a", "b"))
    monkeypatch.setattr("contract.scripts.COMMAND_TIMEOUT_S", 0.1)
    with fragile_broker.frozen(), pytest.raises(BrokerUnavailableError):
        await store.log.write([batch])
    # The server has the first call in its socket and carries it out as well.
    monkeypatch.setattr("contract.scripts.COMMAND_TIMEOUT_S", 5.0)
    assert await store.log.write([batch]) == [WriteResult(WriteStatus.OK, 2)]
    assert await store.positions(job.stream_id) == ["1-1", "1-2"]
    await client.aclose()


@pytest.mark.parametrize("needed", ["'NOSUCHCOMMAND'", "'TIME'"])
async def test_a_right_that_redis_cannot_check_is_no_refusal(store: Store, needed: str) -> None:
    """Redis 8 raises an error for a command without all its arguments, as every version does for an unknown one."""
    assert await call_redis(store.client, "EVAL", f"{check_right(needed)}return 1", 0) == 1
