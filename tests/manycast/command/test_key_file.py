"""`manycast key create`: a key that a gateway knows, shown once, and a file that is not spoilt."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.access.api_keys import KeyRing, make_key
from manycast.command.key_file import KeyFileError, add_key


def create(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "manycast", "key", "create", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_the_key_alone_is_printed_and_opens_the_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    limits = ("--requests-per-minute", "60", "--runs-at-once", "5", "--models", "demo, gpt-*")
    done = create("team", "--file", str(file), *limits)
    assert done.returncode == 0, done.stderr
    key = KeyRing("", file).find(done.stdout.strip())
    assert key is not None
    assert (key.name, key.requests_per_minute, key.runs_at_once, key.models) == ("team", 60, 5, ("demo", "gpt-*"))
    assert file.stat().st_mode & 0o777 == 0o600
    assert done.stdout.strip() not in file.read_text()


@pytest.mark.parametrize(("arguments", "limits"), [((), (60, 20)), (("--unlimited",), (0, 0))])
def test_without_a_file_the_line_is_shown_beside_the_key(arguments: tuple[str, ...], limits: tuple[int, int]) -> None:
    done = create("team", *arguments)
    line = next(line for line in done.stderr.splitlines() if line.startswith("{"))
    key = KeyRing(line, None).find(done.stdout.strip())
    assert key is not None
    assert (key.requests_per_minute, key.runs_at_once) == limits


def test_what_cannot_be_a_name_is_told_in_one_line() -> None:
    done = create("my team")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "manycast: 'my team' is not a valid key name: use up to 64 letters, digits, and the characters . _ @ -\n"
    )


def test_keys_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    (first, first_key), (second, second_key) = make_key("first"), make_key("second")
    file.write_text("# ours\n" + first_key.model_dump_json())  # an editor left out the last line end
    add_key(file, second_key)
    ring = KeyRing("", file)
    assert (ring.find(first), ring.find(second)) == (first_key, second_key)


@pytest.mark.parametrize(
    ("content", "why"),
    [("nonsense", "is not a key file"), (make_key("team")[1].model_dump_json(), "already has a key named 'team'")],
)
def test_a_file_that_does_not_take_it_stays_as_it_is(tmp_path: Path, content: str, why: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    with pytest.raises(KeyFileError, match=why):
        add_key(file, make_key("team")[1])
    assert file.read_text() == content


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="nowhere"):
        add_key(tmp_path / "nowhere" / "keys", make_key("team")[1])
