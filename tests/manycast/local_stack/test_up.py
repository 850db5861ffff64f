"""`manycast up` with all its real parts: that it comes up, that it ends, and that nothing is left of it."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from manycast.local_stack.nearby import find_nearby_address
from tests.broker import Broker
from tests.manycast.command_line import (
    CALLED,
    CTRL_C,
    ROOT,
    LocalStack,
    console,
    parts_of,
    run,
    up,
    wait_until,
    wait_until_gone,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
ALL = {"gateway", "worker", "simulator", "valkey"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """One for the tests after which it stands as before."""
    with up(tmp_path_factory.mktemp("standing") / "data") as stack:
        yield stack


def test_it_prints_one_address_and_says_that_nobody_real_answers(data: Path) -> None:
    with up(data) as stack:
        assert set(stack.parts) == ALL
        asked = run("ask", "Hello", "--model", "demo-fast", "--server", stack.url)
        assert asked.returncode == 0 and len(asked.stdout) > 100
        parts = stack.parts
        assert stack.stop() == 0
        assert stack.rest_of_output == ""
        wait_until_gone(list(parts.values()))
    assert stack.notes.splitlines() == [
        "no OPENAI_API_KEY: answers come from the built-in simulator",
        "only this computer can ask questions until you set a password (MANYCAST_PASSWORD) or an API key "
        f"({CALLED} key create)",
        "ending, open answers first (Ctrl-C again to hurry)",
    ]


def test_ctrl_c_in_its_terminal_ends_the_parts_in_order_and_leaves_none(data: Path) -> None:
    with console("up", "--port", "0", "--data", str(data), "--verbose") as terminal:
        terminal.wait_for("Manycast is ready: http://127.0.0.1:")
        parts = parts_of(terminal.process.pid)
        terminal.type(CTRL_C)
        assert terminal.wait() == 0
        wait_until_gone(list(parts.values()))
        ending = terminal.screen.rpartition("ending, open answers first")[2]
        last_words = ["Finished server process", "has ended", "ready to exit"]
        places = [ending.rindex(word) for word in last_words]
        assert places == sorted(places), ending


def test_closing_its_window_ends_it(data: Path) -> None:
    with console("up", "--port", "0", "--data", str(data)) as terminal:
        terminal.wait_for("Manycast is ready")
        parts = parts_of(terminal.process.pid)
        terminal.hang_up()
        assert terminal.wait() == 0
        wait_until_gone(list(parts.values()))


def test_killed_it_leaves_no_process_and_its_data_can_be_opened_at_once(data: Path) -> None:
    with up(data) as stack:
        parts = stack.parts
        stack.stop(signal.SIGKILL)
        with up(data) as second:
            assert second.parts.keys() == ALL
        wait_until_gone(list(parts.values()))


def test_an_answer_is_still_there_after_a_restart(data: Path) -> None:
    with up(data) as stack:
        asked = run("ask", "Hello", "--model", "demo-fast", "--server", stack.url)
        stream_id = asked.stderr.splitlines()[0].rpartition("#")[2]
    with up(data) as stack:
        watched = run("watch", stream_id, "--server", stack.url)
        assert (watched.returncode, watched.stdout) == (0, asked.stdout), watched.stderr


def test_an_open_answer_is_finished_before_the_end_and_a_second_ctrl_c_hurries(data: Path) -> None:
    with console("up", "--port", "0", "--data", str(data), "--verbose", MANYCAST_GRACE_S="600") as terminal:
        terminal.wait_for("Manycast is ready: http://")
        url = terminal.screen.rpartition("Manycast is ready: ")[2].split()[0]
        with console("ask", "Hello", "--model", "demo-long", "--server", url) as asking:
            asking.wait_for("watch it at")
            terminal.wait_for("epoch 1: claimed")
            terminal.type(CTRL_C)
            terminal.wait_for("takes no more jobs; 1 runs go on")
            terminal.type(CTRL_C)
            assert terminal.wait() == 0
            assert "completed" not in terminal.screen


def test_open_to_other_devices_it_tells_their_address_to_the_terminal_and_to_the_page_here(data: Path) -> None:
    nearby = find_nearby_address()
    with up(data, "--host", "0.0.0.0") as stack:
        local, remote = stack.url, f"http://{nearby or '127.0.0.1'}:{urlsplit(stack.url).port}"
        with urlopen(f"{local}/v1/session", timeout=20) as answer:
            assert json.load(answer)["share_url"] == (f"{remote}/" if nearby else None)
        with urlopen(f"{remote}/watch", timeout=20) as page:
            assert b"Watching" in page.read()
    assert "listening on all addresses" in stack.notes
    assert (f"the address for other devices: {remote}" in stack.notes) == (nearby is not None)


def test_a_malformed_setting_is_named_in_one_line(data: Path) -> None:
    done = run("up", "--data", str(data), MANYCAST_PORT="many")
    assert done.returncode == 1
    assert done.stderr.startswith("manycast: MANYCAST_PORT=many: ") and len(done.stderr.splitlines()) == 1


def test_a_taken_port_is_told_in_one_line(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run("up", "--port", str(port), "--data", str(data))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"manycast: port {port} is taken; try: {CALLED} up --port ")
    assert len(done.stderr.splitlines()) == 1


def test_make_is_advised_to_whoever_called_make(data: Path) -> None:
    assert "manycast up --started-with 'make run PORT=' " in (ROOT / "Makefile").read_text()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = run("up", "--port", port, "--data", str(data), "--started-with", "make run PORT=")
    assert f"port {port} is taken; try: make run PORT=" in done.stderr


def test_a_second_one_on_the_same_data_is_told_who_has_it(standing: LocalStack) -> None:
    done = run("up", "--port", "0", "--data", str(standing.data))
    assert done.returncode == 1
    assert done.stderr == (
        f"manycast: {standing.data} is in use by another stack (process {standing.process.pid}); "
        "end that one, or choose another directory with --data or MANYCAST_DATA\n"
    )
    assert set(standing.parts) == ALL


def test_a_broker_that_is_given_is_used_and_none_is_brought(data: Path, broker: Broker) -> None:
    with up(data, REDIS_URL=broker.url) as stack:
        assert set(stack.parts) == ALL - {"valkey"}
        assert not data.exists()


def test_a_broker_that_is_given_and_does_not_answer_is_named(data: Path) -> None:
    done = run("up", "--port", "0", REDIS_URL="redis://:secret@127.0.0.1:1/0")
    assert done.returncode == 1
    assert "redis://127.0.0.1:1/0 does not answer" in done.stderr and "secret" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_each_part_gets_only_the_variables_that_it_needs(data: Path) -> None:
    given = {
        "OPENAI_API_KEY": "sk-provider",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "MANYCAST_SIGNING_KEYS": "k1:0123456789abcdef0123456789abcdef",
        "DATABASE_URL": "of the user's generator",
    }
    with up(data, command="", cwd=ROOT, **given) as stack:
        assert set(stack.parts) == ALL - {"simulator"}
        assert "simulator" not in stack.notes
        having = {name: parts_with(stack, value) for name, value in given.items()}
    worker = {"worker"}
    assert having == {
        "OPENAI_API_KEY": worker,
        "OPENAI_BASE_URL": worker,
        "MANYCAST_SIGNING_KEYS": {"gateway"},
        "DATABASE_URL": worker,
    }


def parts_with(stack: LocalStack, value: str) -> set[str]:
    return {name for name, pid in stack.parts.items() if value.encode() in Path(f"/proc/{pid}/environ").read_bytes()}


@pytest.mark.parametrize("part", sorted(ALL))
def test_a_part_that_dies_is_named_and_started_again(standing: LocalStack, part: str) -> None:
    lost = standing.parts[part]
    os.kill(lost, signal.SIGKILL)
    wait_until(lambda: standing.parts.get(part, lost) != lost, f"{part} was not started again")
    wait_until(lambda: f"starting {part} again" in standing.notes, "it was not told")
    assert f"{part} ended unexpectedly (killed by SIGKILL)" in standing.notes
    wait_until(standing.is_ready, f"not ready again: {standing.notes}")
    asked = run("ask", "Hello", "--model", "demo-fast", "--server", standing.url)
    assert (asked.returncode, bool(asked.stdout)) == (0, True), asked.stderr


def test_a_part_that_cannot_live_ends_everything_with_its_own_words(data: Path) -> None:
    done = run("up", "--port", "0", "--data", str(data), MANYCAST_PING_INTERVAL_S="soon")
    assert done.returncode == 1
    assert "MANYCAST_PING_INTERVAL_S=soon" in done.stderr
    assert done.stderr.splitlines()[-1] == "manycast: gateway could not be started (exit status 1)"
    assert "Traceback" not in done.stderr
