"""Fixtures that more than one part uses."""

import asyncio.constants
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from contract.connection import Client, command_client
from tests.broker import Broker, redis_binary, valkey_binary
from tests.crowd import Crowd, NewCrowd
from tests.demands import pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401 -- hooks: found by their names
from tests.parallel import order_suites, pytest_runtest_setup, pytest_xdist_make_scheduler  # noqa: F401 -- two are hooks
from tests.topologies import leave_out_other_topologies, new_broker

# asyncio's debug mode (pyproject.toml) records where each task and callback was created. Ten lines of the stack, the
# default, cost a quarter of the tests' CPU time; one line is enough to find the place.
asyncio.constants.DEBUG_STACK_DEPTH = 1  # type: ignore[misc] # a constant for typeshed; asyncio reads it at each use


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_out_other_topologies(config, items)
    order_suites(config, items)


@pytest.fixture(scope="session", params=["valkey", "redis"])
def any_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Each kind of broker in turn, for behaviour that must be the same on both."""
    binary = valkey_binary() if request.param == "valkey" else redis_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")
    broker = Broker(binary)
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """One Valkey for all tests that do not harm it."""
    broker = new_broker()
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def workerless_broker() -> Iterator[Broker]:
    """One Valkey without workers, for tests that write runs themselves."""
    broker = new_broker()
    yield broker
    broker.close()


@pytest.fixture
def fragile_broker() -> Iterator[Broker]:
    """A Valkey for one test alone, which may stop, kill or wipe it."""
    broker = new_broker()
    yield broker
    broker.close()


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[Client]:
    client = command_client(broker.url)
    yield client
    await client.aclose()


@pytest.fixture
def crowd_of() -> Iterator[NewCrowd]:
    """Makes crowds that are closed at the test's end, also if it fails."""
    with ExitStack() as crowds:

        def make(url: str, size: int, **options: Any) -> Crowd:
            return crowds.enter_context(closing(Crowd(url, size, **options)))

        yield make
