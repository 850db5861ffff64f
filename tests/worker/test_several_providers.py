"""A whole worker with a table of providers: two simulators, of which one is away now and then."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contract.connection import command_client
from manycast.local_stack.port import free_port
from tests.broker import Broker
from tests.stack import Simulator, Worker, closing_all
from tests.worker.runs import Caller, counts, done
from tests.worker.scripts.test_scripts import CHAINS


@pytest.fixture
def other() -> Iterator[Simulator]:
    other = Simulator(SIMULATOR_FIRST_CHUNK_MS="0", SIMULATOR_CHUNKS_PER_S="500")
    with closing_all(other):
        yield other


@pytest.fixture
async def caller(
    fragile_broker: Broker, provider: Simulator, other: Simulator, tmp_path: Path
) -> AsyncIterator[Caller]:
    table = tmp_path / "providers.toml"
    table.write_text(f"""
        [providers.away]
        base_url = "http://127.0.0.1:{free_port()}/v1"
        models = ["demo-fast"]
        fallback = ["one"]
        [providers.one]
        base_url = "{provider.url}/v1"
        models = ["demo*"]
        [providers.two]
        base_url = "{other.url}/v1"
        models = ["fault-stall-*", "two/*"]
        rename = {{ "two/*" = "*" }}
        breaker_failures = 2
        breaker_pause_s = 600
        [providers.two.model."fault-stall-middle"]
        chunk_timeout_s = 0.5
    """)
    (tmp_path / "scripts").mkdir()
    shutil.copy(CHAINS, tmp_path / "scripts")
    settings = {"MANYCAST_PROVIDERS": str(table), "MANYCAST_SCRIPTS": str(tmp_path / "scripts")}
    worker = Worker(fragile_broker.url, "http://127.0.0.1:1", **settings)
    client = command_client(fragile_broker.url)
    with closing_all(worker):
        yield Caller(client)
        assert "Traceback" not in worker.output
    await client.aclose()


async def test_each_model_is_run_by_its_provider(caller: Caller, provider: Simulator, other: Simulator) -> None:
    before = counts(provider.url, "demo-fast").get("requests", 0)
    assert done(await caller.run("demo-fast"))["status"] == "completed"
    assert done(await caller.run("two/demo-fast"))["status"] == "completed"
    assert counts(provider.url, "demo-fast")["requests"] == before + 1
    assert counts(other.url, "demo-fast")["requests"] == 1


async def test_an_unknown_model_fails_with_404(caller: Caller) -> None:
    error = done(await caller.run("gpt-4o"))["error"]
    assert (error["code"], error["http_status"]) == ("model_not_found", 404)
    assert error["message"].endswith("There are: demo-fast, demo*, fault-stall-*, two/*.")


async def test_the_timeout_between_chunks_is_that_of_the_model_and_a_silent_provider_is_not_asked_for_ever(
    caller: Caller,
) -> None:
    for _ in range(2):
        error = done(await caller.run("fault-stall-middle"))["error"]
        assert (error["code"], error["message"]) == ("upstream_timeout", "The provider sent nothing for 0.5 seconds.")
    assert done(await caller.run("fault-stall-middle"))["error"]["code"] == "provider_unavailable"


async def test_a_provider_that_falls_silent_in_steps_of_scripts_is_not_asked_for_ever(caller: Caller) -> None:
    for _ in range(2):
        error = done(await caller.run("script/asks", prompt="fault-stall-middle"))["error"]
        assert (error["code"], error["message"]) == ("upstream_timeout", "The provider sent nothing for 0.5 seconds.")
    error = done(await caller.run("script/asks", prompt="fault-stall-middle"))["error"]
    assert error["code"] == "provider_unavailable"
