"""`python -m worker` as an operator meets it."""

import subprocess
import sys

import pytest

from manycast.local_stack.port import free_port
from tests.broker import Broker
from tests.stack import ROOT, Worker
from tests.worker.runs import until


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        cwd=ROOT,
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
def test_a_setting_that_cannot_be_used_is_told_in_one_line(environment: dict[str, str], words: str) -> None:
    told = command(**environment)
    assert told.returncode == 1
    assert told.stderr.startswith(words), told.stderr
    assert told.stderr.count("\n") == 1


async def test_health_is_that_a_worker_of_this_host_is_announced(fragile_broker: Broker, worker: Worker) -> None:
    await until(lambda: command("--healthy", REDIS_URL=fragile_broker.url).returncode == 0)


def test_health_is_missing_where_no_worker_is_announced(fragile_broker: Broker) -> None:
    assert command("--healthy", REDIS_URL=fragile_broker.url).returncode == 1


def test_health_is_missing_where_redis_is() -> None:
    told = command("--healthy", REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    assert (told.returncode, told.stderr) == (1, "")
