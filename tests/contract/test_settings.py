"""A malformed setting ends each service in one line that names the variable, and never shows a password."""

import os
import subprocess
import sys

import pytest

from contract.settings import MalformedSettingError, check_redis_url, read_settings
from gateway.settings import Settings as GatewaySettings
from manycast.settings import Settings as CommandSettings
from tests.house.tree import ROOT
from worker.settings import Settings as WorkerSettings

PASSWORD = "hunter2"
COMMANDS = {"gateway": ["gateway"], "worker": ["worker"], "manycast": ["manycast", "up"]}
MALFORMED_URLS = [
    "nonsense",
    "http://example.test",
    f"redis://:{PASSWORD}@example.test:port",
    f"redis://:{PASSWORD}@example.test:99999",
    f"redis://:{PASSWORD}/x@example.test:6379",
    f"redis://[:{PASSWORD}@example.test",
    f"redis://:{PASSWORD}@example.test?no_such_option={PASSWORD}",
    f"redis://:{PASSWORD}@example.test?socket_timeout={PASSWORD}",
    f"redis://:{PASSWORD}@{'long' * 20}.test",
    f"rediss://example.test?ssl_cert_reqs={PASSWORD}",
    f"{PASSWORD}://example.test",
]


def run(command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    ours = ("MANYCAST_", "REDIS_URL", "OPENAI_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", *COMMANDS[command]],
        cwd=ROOT,
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MANYCAST_LOG_LEVEL", "loud"),
        ("REDIS_URL", f"redis://:{PASSWORD}@example.test:port"),
        ("REDIS_URL", f"http://:{PASSWORD}@example.test"),
    ],
)
def test_a_malformed_setting_ends_a_service_in_one_line(command: str, name: str, value: str) -> None:
    ended = run(command, **{name: value})
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{command}: {name}"), ended.stderr
    assert ended.stderr.count("\n") == 1
    assert PASSWORD not in ended.stderr


@pytest.mark.parametrize("settings", [GatewaySettings, WorkerSettings, CommandSettings])
@pytest.mark.parametrize("url", MALFORMED_URLS)
def test_a_malformed_redis_url_is_refused_without_showing_it(
    settings: type[GatewaySettings | WorkerSettings | CommandSettings], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(MalformedSettingError, match=r"^REDIS_URL: ") as caught:
        read_settings(settings)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1:6379/0", "rediss://user:p%40ss@example.test", "unix:///run/redis.sock?db=1", "redis://[::1]:1"],
)
def test_a_usable_redis_url_is_accepted_as_it_is(url: str) -> None:
    assert check_redis_url(url) == url


@pytest.mark.parametrize("level", ["debug", "INFO", "Warning", "error"])
def test_a_log_level_may_be_written_in_any_case(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYCAST_LOG_LEVEL", level)
    assert read_settings(GatewaySettings).log_level == level.lower()
    assert read_settings(WorkerSettings).log_level == level.lower()


@pytest.mark.parametrize("name", ["MANYCAST_KEYS", "MANYCAST_SIGNING_KEYS"])
def test_a_malformed_secret_is_not_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, f"{PASSWORD}\udcff")
    with pytest.raises(MalformedSettingError, match=f"^{name}: ") as caught:
        read_settings(GatewaySettings)
    assert PASSWORD not in str(caught.value)


def test_a_malformed_setting_with_line_breaks_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYCAST_PORT", "80\n80")
    with pytest.raises(MalformedSettingError, match=r"^MANYCAST_PORT=80\\n80: "):
        read_settings(GatewaySettings)
