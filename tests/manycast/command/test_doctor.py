"""The doctor's findings, on brokers, providers and gateways that are well, ill and away."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from contract.connection import call_redis, command_client
from contract.keys import KeySpace
from contract.partitions import agree_on_partitions
from manycast.command.doctor import (
    Finding,
    judge_broker,
    judge_gateway,
    judge_server,
    look_at_broker,
    look_at_gateway,
    look_at_provider,
    look_at_providers,
    look_at_python,
)
from tests.broker import Broker
from tests.manycast.command_line import run
from tests.manycast.scripted_server import Request, ScriptedServer, write_json, write_refusal
from tests.stack import Gateway, Simulator, Worker, closing_all
from tests.topologies import redis_cluster, sentinel_group

VALKEY = {"server_name": "valkey", "redis_version": "7.2.4", "valkey_version": "9.1.2", "aof_enabled": 1}
MAY_ASK = "you may ask questions"


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


async def test_a_python_that_is_too_old_fails() -> None:
    assert levels(await look_at_python()) == ["ok"]
    assert levels(await look_at_python((3, 10, 9))) == ["fail"]


async def test_a_real_broker_that_is_well(broker: Broker) -> None:
    findings = await look_at_broker(broker.url, "manycast")
    assert levels(findings) == ["ok", "ok"]
    assert findings[0].fact.startswith("Valkey 9.")


async def test_the_partitions_of_this_deployment_are_shown_and_not_made(broker: Broker) -> None:
    keys = KeySpace("doctor")
    client = command_client(broker.url, KeySpace("doctor", 8))
    for _ in range(2):
        fact = (await look_at_broker(broker.url, "manycast", keys))[1].fact
        assert fact.startswith("the prefix doctor is not in use yet")
    await agree_on_partitions(client)
    await client.aclose()
    found = await look_at_broker(broker.url, "manycast", keys)
    assert [finding.fact for finding in found[1:]] == ["the prefix doctor has 8 partitions"]
    wrong = (await look_at_broker(broker.url, "manycast", KeySpace("doctor", 3)))[1]
    assert (wrong.level, wrong.fact) == ("fail", "the prefix doctor has 8 partitions, and MANYCAST_PARTITIONS is 3")
    assert "set it to 8" in wrong.advice


async def test_a_broker_that_is_away_fails_and_its_password_is_not_shown() -> None:
    (finding,) = await look_at_broker("redis://:secret@127.0.0.1:1/0", "manycast")
    assert finding.level == "fail" and "secret" not in str(finding)


async def test_a_malformed_address_fails() -> None:
    assert levels(await look_at_broker("localhost", "manycast")) == ["fail"]


async def test_without_an_address_the_embedded_broker_is_looked_for() -> None:
    assert levels(await look_at_broker(None, "manycast")) == ["ok"]


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (VALKEY, ["ok"]),
        ({"redis_version": "7.0.15", "aof_enabled": 1}, ["ok"]),
        ({"redis_version": "6.2.1", "aof_enabled": 1}, ["fail"]),
        ({**VALKEY, "valkey_version": "7.2.5"}, ["fail"]),
        ({**VALKEY, "aof_enabled": 0}, ["ok", "warn"]),
        ({**VALKEY, "maxmemory": 1 << 30, "maxmemory_policy": "allkeys-lru"}, ["ok", "warn"]),
        ({**VALKEY, "maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, ["ok"]),
        ({}, ["fail", "warn"]),
    ],
)
def test_a_broker_is_judged_by_its_version_and_by_what_it_may_lose(info: dict[str, Any], expected: list[str]) -> None:
    assert levels(judge_broker("redis://x", info)) == expected


async def test_a_provider_that_takes_the_key_is_well(scripted_server: ScriptedServer) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        assert (request.path, request.headers["authorization"]) == ("/v1/models", "Bearer sk-1")
        write_json(writer, 200, {"data": [{"id": "a"}, {"id": "b"}]})

    scripted_server.answer = answer
    (finding,) = await look_at_provider("sk-1", f"{scripted_server.url}/v1")
    assert (finding.level, finding.fact) == ("ok", f"{scripted_server.url}/v1 offers 2 models")


async def test_a_provider_that_refuses_the_key_fails_in_its_own_words(scripted_server: ScriptedServer) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_refusal(writer, 401, "invalid_api_key", "Incorrect API key")

    scripted_server.answer = answer
    (finding,) = await look_at_provider("sk-1", scripted_server.url)
    assert finding.level == "fail" and "Incorrect API key" in finding.fact and "sk-1" not in str(finding)


async def test_without_a_provider_there_is_the_simulator_and_one_that_is_away_fails() -> None:
    assert levels(await look_at_provider(None, None)) == ["ok"]
    assert levels(await look_at_provider(None, "http://127.0.0.1:1/v1")) == ["fail"]


async def test_each_provider_of_the_table_is_asked_as_a_worker_asks_it(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    paths = []

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        paths.append(request.path)
        if request.path.startswith("/openai/"):
            assert request.headers["api-key"] == "azure-key"
        else:
            assert (request.headers["authorization"], request.headers["x-team"]) == ("Bearer sk-1", "blue")
        write_json(writer, 200, {"data": [{"id": "gpt-4o"}, {"id": "tts-1"}]})

    scripted_server.answer = answer
    table = tmp_path / "providers.toml"
    table.write_text(f"""
        [providers.one]
        base_url = "{scripted_server.url}/v1"
        models = ["gpt-*"]
        api_key_env = "ONE_KEY"
        headers = {{ X-Team = "blue" }}
        query = {{ tag = "a b" }}
        [providers.azure]
        azure = true
        base_url = "{scripted_server.url}"
        api_version = "2024-10-21"
        api_key = "azure-key"
        models = []
        [providers.wrong]
        base_url = "{scripted_server.url}/v1"
        models = ["llama*"]
        api_key = "sk-1"
        headers = {{ X-Team = "blue" }}
        [providers.gone]
        base_url = "http://127.0.0.1:1/v1"
        models = ["*"]
    """)
    findings = await look_at_providers(table, {"ONE_KEY": "sk-1"})
    assert levels(findings) == ["ok", "ok", "warn", "fail"]
    assert findings[0].fact == f"one: {scripted_server.url}/v1 offers 2 models, 1 of them for gpt-*"
    assert findings[2].advice == f"check models and rename of [providers.wrong] in {table}"
    assert findings[3].fact.startswith("gone: ")
    assert {"/v1/models?tag=a+b", "/openai/models?api-version=2024-10-21", "/v1/models"} == set(paths)


@pytest.mark.parametrize(("status", "level", "word"), [(401, "fail", "key"), (404, "warn", "base_url")])
async def test_a_provider_of_the_table_that_refuses_is_named_with_its_table(
    scripted_server: ScriptedServer, tmp_path: Path, status: int, level: str, word: str
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_refusal(writer, status, "no", "Not so")

    scripted_server.answer = answer
    table = tmp_path / "providers.toml"
    table.write_text(f'[providers.one]\nbase_url = "{scripted_server.url}"\nmodels = ["*"]\napi_key = "sk-secret"')
    (finding,) = await look_at_providers(table, {})
    assert finding.level == level and "Not so" in finding.fact
    assert f"{word} of [providers.one]" in finding.advice
    assert "sk-secret" not in str(finding)


def test_a_table_that_cannot_be_used_stops_up_and_fails_the_doctor(tmp_path: Path) -> None:
    table = tmp_path / "providers.toml"
    table.write_text("[providers.one]\nmodels = ['*']\nkey = 'sk-secret'")
    up = run("up", "--port", "0", MANYCAST_PROVIDERS=str(table))
    told = f"{table}: [providers.one] key: there is no such field"
    assert (up.returncode, up.stderr) == (1, f"manycast: MANYCAST_PROVIDERS: {told}\n")
    doctor = run("doctor", MANYCAST_PROVIDERS=str(table))
    assert doctor.returncode == 1
    assert f"fail provider  {told}\n" in doctor.stdout


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"ready": True, "redis": True, "workers": 2, "draining": False}, "ok"),
        (503, {"ready": False, "redis": True, "workers": 0, "draining": False}, "fail"),
        (503, {"ready": False, "redis": False, "workers": 0, "draining": False}, "fail"),
        (503, {"ready": False, "redis": True, "workers": 1, "draining": True}, "warn"),
    ],
)
async def test_a_gateway_is_judged_by_what_it_says_of_itself(
    scripted_server: ScriptedServer, status: int, body: dict[str, Any], expected: str
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path == "/readyz":
            write_json(writer, status, body)
        else:
            write_refusal(writer, 404, "not_found", "An older gateway")

    scripted_server.answer = answer
    gateway, *server = await look_at_gateway(scripted_server.url)
    assert gateway.level == expected
    assert [finding.fact for finding in server] == (
        ["it is older than this command, and does not say what it runs on"] if expected == "ok" else []
    )


@pytest.mark.parametrize(("workers", "told"), [(1, "with 1 worker"), (2, "with 2 workers")])
async def test_one_worker_is_not_plural(workers: int, told: str) -> None:
    assert judge_gateway("http://a", {"ready": True, "workers": workers}).fact == f"http://a is ready, {told}"


@pytest.mark.parametrize(
    ("api_key", "admission", "expected"),
    [
        ("mc-1", {"caller": "key:ann", "may_start": True, "message": None}, ("ok", f"{MAY_ASK}, as key:ann")),
        (None, {"caller": None, "may_start": True, "message": "Only here."}, ("ok", f"{MAY_ASK}. Only here.")),
        (None, {"caller": None, "may_start": False, "message": "Send a key."}, ("warn", "Send a key.")),
        ("mc-2", {"caller": None, "may_start": False, "message": "None of ours."}, ("fail", "None of ours.")),
    ],
)
async def test_whether_we_may_ask_is_asked_with_our_key(
    scripted_server: ScriptedServer, api_key: str | None, admission: dict[str, Any], expected: tuple[str, str]
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path == "/readyz":
            write_json(writer, 200, {"ready": True, "workers": 1})
        elif request.path == "/v1/server":
            write_refusal(writer, 404, "not_found", "An older gateway")
        else:
            assert request.headers.get("authorization") == (f"Bearer {api_key}" if api_key else None)
            write_json(writer, 200, admission)

    scripted_server.answer = answer
    _, access, *_ = await look_at_gateway(scripted_server.url, api_key)
    assert (access.level, access.fact) == expected


def test_the_command_prints_a_line_for_each_and_fails_with_the_first_that_fails() -> None:
    server = "http://127.0.0.1:1"
    well = run("doctor", "--server", server)
    assert [line.split()[:2] for line in well.stdout.splitlines() if not line.startswith(" ")] == [
        ["ok", "python"],
        ["ok", "database"],
        ["ok", "provider"],
        ["fail", "gateway"],
    ]
    assert well.returncode == 1
    assert run("doctor", MANYCAST_SERVER=server).returncode == 1


@pytest.mark.parametrize(("is_named", "level"), [(False, "warn"), (True, "fail")])
async def test_that_no_gateway_runs_is_wrong_only_if_it_was_named(is_named: bool, level: str) -> None:
    (finding,) = await look_at_gateway("http://127.0.0.1:1", command="x/manycast", is_named=is_named)
    assert (finding.level, finding.advice) == (level, "start one: x/manycast up")


BROKER = {"name": "valkey", "version": "9.1.2", "append_only": True, "memory_limit_bytes": 0, "memory_policy": None}
PROVIDER = {"name": "default", "url": "https://api.example.com/v1", "problem": None}
WORKER = {"generator": None, "default_model": "m", "models": 3, "providers": [PROVIDER]}


@pytest.mark.parametrize(
    ("broker", "workers", "expected"),
    [
        ({}, [WORKER], ["ok", "ok", "ok"]),
        ({"version": None, "append_only": None}, [], ["ok"]),
        ({"version": "7.2.1"}, [], ["fail"]),
        ({"name": "redis", "version": "7.2.1", "append_only": False}, [], ["warn"]),
        ({"memory_limit_bytes": 9, "memory_policy": "allkeys-lru"}, [], ["warn"]),
        ({}, [{**WORKER, "generator": "my_module:answer", "providers": []}], ["ok", "ok"]),
        ({}, [{**WORKER, "providers": [{**PROVIDER, "problem": "it cannot be reached"}]}], ["ok", "fail", "ok"]),
        ({}, [{**WORKER, "default_model": None, "models": 0}], ["ok", "ok", "warn"]),
    ],
)
def test_a_server_is_judged_by_what_it_runs_on(
    broker: dict[str, Any], workers: list[dict[str, Any]], expected: list[str]
) -> None:
    assert levels(judge_server({"broker": {**BROKER, **broker}, "workers": workers})) == expected


async def doctor_says(gateway: Gateway, words: str) -> tuple[int, str]:
    """The exit status and the findings, as soon as they contain the words."""
    deadline = time.monotonic() + 90
    while True:
        done = await asyncio.to_thread(run, "doctor", "--server", gateway.url)
        if words in done.stdout:
            return done.returncode, done.stdout
        assert time.monotonic() < deadline, done.stdout


async def test_the_doctor_fails_if_the_running_server_cannot_use_its_provider(
    broker: Broker, scripted_server: ScriptedServer
) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        write_refusal(writer, 401, "invalid_api_key", "No such key")

    scripted_server.answer = answer
    gateway, worker = Gateway(broker.url), Worker(broker.url, scripted_server.url, MANYCAST_DEFAULT_MODEL="")
    with closing_all(gateway, worker):
        asked = f"a worker asks the provider {scripted_server.url}/v1"
        status, told = await doctor_says(gateway, f"fail server    {asked}, but it refuses the API key (401)")
    assert status == 1
    assert "warn server    its provider lists no models, so a request that names none fails" in told


async def test_the_doctor_is_content_with_a_server_that_works(broker: Broker, tmp_path: Path) -> None:
    script = "from manycast.script import script\n\n@script\nasync def haiku(run):\n    pass\n"
    (tmp_path / "haiku.py").write_text(script)
    simulator = Simulator()
    gateway, worker = Gateway(broker.url), Worker(broker.url, simulator.url, MANYCAST_SCRIPTS=str(tmp_path))
    with closing_all(gateway, worker, simulator):
        status, told = await doctor_says(gateway, "requests that name none get demo")
    assert "ok   server    its workers run 1 script: script/haiku" in told
    assert f"ok   server    a worker asks the provider {simulator.url}/v1" in told
    assert "fail" not in told
    assert status == 0


def test_a_finding_shows_what_a_server_wrote_and_does_not_obey_it() -> None:
    shown = str(Finding("fail", "server", "it says \x1b[2J\nok   server   fine", "do \u202eit"))
    assert shown.splitlines() == ["fail server    it says ␛[2J ok   server   fine", f"{'':15}-> do \ufffdit"]


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
async def test_each_primary_of_a_topology_is_looked_at(kind: str) -> None:
    with sentinel_group() if kind == "sentinel" else redis_cluster() as redis:
        named, *primaries, partitions = await look_at_broker(redis.url, "manycast")
        assert levels([named, *primaries, partitions]) == ["ok"] * (3 if kind == "sentinel" else 5)
        assert ("Sentinel group mymaster" if kind == "sentinel" else "cluster") in named.fact
        assert all(primary.fact.startswith("Redis 7.") for primary in primaries)
        redis.nodes[0].kill()
        assert "fail" in levels(await look_at_broker(redis.url, "manycast"))


async def test_a_user_without_channels_is_told_what_is_missing(fragile_broker: Broker) -> None:
    admin = command_client(fragile_broker.url)
    await call_redis(admin, "ACL", "SETUSER", "narrow", "on", ">pw", "~*", "+@all", "resetchannels")
    await admin.aclose()
    well, partitions, *missing = await look_at_broker(fragile_broker.url.replace("://", "://narrow:pw@"), "manycast")
    assert levels([well, partitions]) == ["ok", "ok"]
    assert levels(missing) == ["fail"] * 4
    assert "PUBLISH mc:{p00}:" in missing[0].fact
