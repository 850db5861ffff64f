"""`python -m worker` as an operator meets it."""

import subprocess
import sys
from pathlib import Path

import pytest

from manycast.local_stack.port import free_port
from tests.broker import Broker
from tests.stack import ROOT, Worker
from tests.worker.runs import until


def command(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}, "worker: set OPENAI_API_KEY, or OPENAI_BASE_URL"),
        ({"MANYCAST_LEASE_S": "soon"}, "worker: MANYCAST_LEASE_S=soon: "),
        (
            {"MANYCAST_CHUNK_TIMEOUTS": "o3*=soon"},
            "worker: MANYCAST_CHUNK_TIMEOUTS=o3*=soon: 'o3*=soon' is not PATTERN=",
        ),
        (
            {"MANYCAST_PROVIDERS": "/none.toml"},
            "worker: MANYCAST_PROVIDERS: /none.toml: it cannot be read: No such file",
        ),
        ({"MANYCAST_ATTEMPTS": "0"}, "worker: MANYCAST_ATTEMPTS=0: "),
        ({"REDIS_URL": "http://example.test"}, "worker: REDIS_URL: "),
        ({"REDIS_URL": "redis://example.test:port", "OPENAI_API_KEY": "x"}, "worker: REDIS_URL: "),
        ({"MANYCAST_GENERATOR": "nothing"}, "worker: MANYCAST_GENERATOR must be MODULE:NAME"),
        ({"MANYCAST_GENERATOR": "no.such:thing"}, "worker: MANYCAST_GENERATOR 'no.such:thing' cannot be imported"),
        ({"MANYCAST_GENERATOR": "worker.settings:thing"}, "worker: MANYCAST_GENERATOR"),
    ],
)
def test_a_malformed_setting_is_reported_in_one_line(environment: dict[str, str], words: str) -> None:
    told = command(cwd=ROOT, **environment)
    assert told.returncode == 1
    assert told.stderr.startswith(words), told.stderr
    assert told.stderr.count("\n") == 1


MODULES = {
    "a sync generator": "def answer(request):\n    yield 'x'\n",
    "a coroutine": "async def answer(request):\n    return 'x'\n",
    "without an argument": "async def answer():\n    yield 'x'\n",
    "no function": "answer = 42\n",
    "another name": "async def answers(request):\n    yield 'x'\n",
    "broken": "1 / 0\n",
    "malformed": "async def answer(request)\n",
}


@pytest.mark.parametrize("module", MODULES)
def test_an_unusable_generator_is_named(tmp_path: Path, module: str) -> None:
    (tmp_path / "my_answers.py").write_text(MODULES[module])
    told = command(cwd=tmp_path, MANYCAST_GENERATOR="my_answers:answer", PYTHONPATH=str(ROOT), PYTHONSAFEPATH="1")
    assert told.returncode == 1
    assert told.stderr.startswith("worker: MANYCAST_GENERATOR 'my_answers:answer' "), told.stderr
    assert told.stderr.count("\n") == 1
    assert "No module named" not in told.stderr


def test_a_missing_generator_is_reported_with_the_searched_folder(tmp_path: Path) -> None:
    told = command(cwd=tmp_path, MANYCAST_GENERATOR="my_answers:answer", PYTHONPATH=str(ROOT), PYTHONSAFEPATH="1")
    assert f"No module named 'my_answers' (looked in {tmp_path} too)" in told.stderr


async def test_health_is_that_a_worker_of_this_host_is_announced(fragile_broker: Broker, worker: Worker) -> None:
    await until(lambda: command("--healthy", REDIS_URL=fragile_broker.url).returncode == 0)


def test_the_health_check_loads_nothing_of_the_worker_itself(fragile_broker: Broker) -> None:
    told = command("--healthy", REDIS_URL=fragile_broker.url, PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rsplit("|", 1)[-1].strip() for line in told.stderr.splitlines()}
    assert "worker.health" in loaded
    parts = ("app", "serve", "generations", "jobs", "providers", "scripts")
    assert not loaded & {"openai", "manycast.script", *(f"worker.{part}" for part in parts)}


def test_health_is_missing_where_no_worker_is_announced(fragile_broker: Broker) -> None:
    assert command("--healthy", REDIS_URL=fragile_broker.url).returncode == 1


def test_health_is_missing_where_redis_is() -> None:
    told = command("--healthy", REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    assert (told.returncode, told.stderr) == (1, "")
