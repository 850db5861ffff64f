"""A malformed setting ends each service in one line that names the variable, and never shows a password."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("keys", "there is no such file; `manycast key create NAME --file FILE` makes it"),
        (".", "the file cannot be read: Is a directory"),
    ],
)
def test_a_file_of_keys_that_cannot_be_read_is_named_once(
    tmp_path: Path, name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANYCAST_KEYS_FILE", str(tmp_path / name))
    with pytest.raises(MalformedSettingError) as caught:
        read_settings(GatewaySettings)
    assert str(caught.value) == f"MANYCAST_KEYS_FILE={tmp_path / name}: {words}"


def test_a_malformed_setting_with_line_breaks_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYCAST_PORT", "80\n80")
    with pytest.raises(MalformedSettingError, match=r"^MANYCAST_PORT=80\\n80: "):
        read_settings(GatewaySettings)


SECRETS = {"REDIS_URL": f"redis://:{PASSWORD}@example.test", "MANYCAST_SIGNING_KEYS": f"first:{PASSWORD * 8}"}
KINDS: list[type[GatewaySettings | WorkerSettings | CommandSettings]] = [
    GatewaySettings,
    WorkerSettings,
    CommandSettings,
]


def secret_settings() -> Iterator[tuple[type[GatewaySettings | WorkerSettings | CommandSettings], str, str]]:
    """Each kind of settings, with the field and the variable of each of its secrets that a file may hold."""
    for kind in KINDS:
        for name, field in kind.model_fields.items():
            if not field.repr and f"{name}_file" not in kind.model_fields:
                yield kind, name, str(field.validation_alias or f"MANYCAST_{name.upper()}")


@pytest.mark.parametrize(("kind", "field", "variable"), list(secret_settings()))
def test_a_file_may_hold_any_secret(
    kind: type[GatewaySettings | WorkerSettings | CommandSettings],
    field: str,
    variable: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = SECRETS.get(variable, PASSWORD * 8)
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n")
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(f"{variable}_FILE", str(file))
    found = getattr(read_settings(kind), field)
    assert (found.get_secret_value() if isinstance(found, SecretStr) else found) == secret

    monkeypatch.setenv(variable, secret)
    with pytest.raises(MalformedSettingError, match=f"^{variable}_FILE: {variable} is set too") as caught:
        read_settings(kind)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read: No such file"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "is not UTF-8")],
)
def test_a_file_that_holds_no_secret_is_an_error(
    content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("MANYCAST_PASSWORD_FILE", str(file))
    with pytest.raises(MalformedSettingError, match=f"^MANYCAST_PASSWORD_FILE={file}: the file {reason}"):
        read_settings(GatewaySettings)


def test_a_malformed_secret_from_a_file_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text(f"http://:{PASSWORD}@example.test")
    monkeypatch.setenv("REDIS_URL_FILE", str(file))
    for kind in KINDS:
        with pytest.raises(MalformedSettingError, match=r"^REDIS_URL: it must begin") as caught:
            read_settings(kind)
        assert PASSWORD not in str(caught.value)
