"""The embedded broker: its data stays, nobody else gets in, and nobody opens its data twice."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contract.connection import call_redis, command_client
from contract.topology import hide_credentials
from manycast.local_stack.broker import Broker, BrokerError, lock_data, plan_broker, wait_for_broker
from manycast.local_stack.child import Child

DEADLINE_S = 60.0


@asynccontextmanager
async def running_broker(directory: Path) -> AsyncIterator[tuple[Broker, Child]]:
    lines: list[str] = []
    async with lock_data(directory) as lock:
        broker = plan_broker(directory, lock, dict(os.environ))
        child = Child(broker.program, lambda _, line: lines.append(line))
        await child.start()
        try:
            await wait_for_broker(broker.url, DEADLINE_S)
            yield broker, child
        finally:
            await child.stop(asyncio.Event())
    assert not [line for line in lines if "rror" in line], lines


async def ask(url: str, *command: str) -> object:
    client = command_client(url)
    try:
        return await call_redis(client, *command)
    finally:
        await client.aclose()


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    directory = tmp_path / "with a space" / "and below"
    async with running_broker(directory) as (broker, _):
        await ask(broker.url, "XADD", "log", "1-1", "e", "x")
    async with running_broker(directory) as (broker, _):
        assert await ask(broker.url, "XLEN", "log") == 1


async def test_what_was_stored_is_there_after_it_was_killed(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as (broker, child):
        await ask(broker.url, "XADD", "log", "1-1", "e", "x")
        os.kill(child.pid, 9)
        await child.wait()
    async with running_broker(tmp_path) as (broker, _):
        assert await ask(broker.url, "XLEN", "log") == 1


async def test_without_the_password_nobody_gets_in(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as (broker, _):
        assert broker.url.startswith("redis://:")
        with pytest.raises(BrokerError, match="Authentication required"):
            await wait_for_broker(hide_credentials(broker.url), 0.5)


async def test_a_second_broker_on_the_same_data_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    async with lock_data(tmp_path):
        with pytest.raises(BrokerError, match=rf"in use by another stack \(process {os.getpid()}\)"):
            async with lock_data(tmp_path):
                raise AssertionError("had the lock twice")
    async with lock_data(tmp_path):
        pass


async def test_the_data_stays_locked_until_the_broker_ends(tmp_path: Path) -> None:
    async with lock_data(tmp_path) as lock:
        broker = plan_broker(tmp_path, lock, dict(os.environ))
        child = Child(broker.program, lambda _, line: None)
        await child.start()
        await wait_for_broker(broker.url, DEADLINE_S)
    with pytest.raises(BrokerError, match="in use"):
        async with lock_data(tmp_path):
            raise AssertionError("had the lock beside a living broker")
    await child.stop(asyncio.Event())
    async with lock_data(tmp_path):
        pass


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerError, match="--data"):
        async with lock_data(tmp_path / "file" / "below"):
            raise AssertionError("locked what is no directory")


@pytest.mark.parametrize("contents", [[], ["lock"]])
async def test_an_own_directory_that_others_can_read_is_made_private(tmp_path: Path, contents: list[str]) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    directory.chmod(0o755)
    for name in contents:
        (directory / name).touch(0o600)
    async with running_broker(directory) as (broker, _):
        await ask(broker.url, "SET", "key", "value")
    assert not [path for path in (directory, *directory.rglob("*")) if path.stat().st_mode & 0o077]


async def test_a_directory_of_others_things_that_others_can_read_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "my files"
    directory.mkdir()
    (directory / "letter").touch()
    directory.chmod(0o755)
    with pytest.raises(BrokerError, match=r"others can read .*chmod 700 '.*my files'"):
        async with lock_data(directory):
            raise AssertionError("used a directory that others can read")
    assert directory.stat().st_mode & 0o777 == 0o755


async def test_a_broker_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(BrokerError, match=r"redis://127.0.0.1:1/0 does not answer") as caught:
        await wait_for_broker("redis://:secret@127.0.0.1:1/0", 0.3)
    assert "secret" not in str(caught.value)


async def test_a_malformed_address_of_a_broker_is_told() -> None:
    with pytest.raises(BrokerError, match="REDIS_URL"):
        await wait_for_broker("localhost:6379", 0.3)
