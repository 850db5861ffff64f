"""`ask` and `watch` as a person runs them, against everything real."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.manycast.command_line import (
    CALLED,
    CTRL_C,
    ROOT,
    LocalStack,
    console,
    environment,
    manycast,
    run,
    started,
    up,
    wait_until,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with up(tmp_path_factory.mktemp("ask") / "data", MANYCAST_LEASE_S="3") as stack:
        wait_until(lambda: bool(fetch(f"{stack.url}/v1/models")["data"]), "no models are offered")
        yield stack


NOTES = ("watch it at ", "demo is the built-in simulator", "connection lost", "reconnected")


def plain(screen: str) -> str:
    """What has come to stand on the screen, without colours, with the line ends of a file."""
    return re.sub(r"\x1b\[\d+m", "", screen).replace("\r\n", "\n")


def fetch(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def status_of(server: LocalStack, stream_id: str) -> str:
    return str(fetch(f"{server.url}/v1/streams/{stream_id}")["status"])


def stream_of(notes: str) -> str:
    (stream_id, *_) = re.findall(r"/watch#([A-Za-z0-9_-]+)", notes)
    return str(stream_id)


def test_the_answer_is_the_output_and_what_is_said_about_it_is_not(server: LocalStack) -> None:
    done = run("ask", "Hello", "--model", "demo-fast", "--server", server.url)
    completion = fetch(f"{server.url}/v1/streams/{stream_of(done.stderr)}/completion")
    assert done.returncode == 0
    assert done.stdout == completion["choices"][0]["message"]["content"].rstrip("\n") + "\n"
    assert done.stderr.splitlines() == [
        f"watch it at {server.url}/watch#{stream_of(done.stderr)}",
        "demo-fast is the built-in simulator, not a language model",
    ]


@pytest.mark.parametrize("form", ["{id}", "{url}/watch#{id}", "{host}/watch#{id}", "{url}/v1/streams/{id}/events"])
def test_another_terminal_watches_the_same_by_any_address(server: LocalStack, form: str) -> None:
    asked = run("ask", "Hello", "--model", "demo-fast", "--server", server.url)
    host = server.url.removeprefix("http://")
    address = form.format(id=stream_of(asked.stderr), url=server.url, host=host)
    watched = run("watch", address, MANYCAST_SERVER=server.url)
    assert (watched.returncode, watched.stdout) == (0, asked.stdout), watched.stderr


def test_a_question_without_quotes_is_asked_as_one_and_the_system_prompt_goes_with_it(server: LocalStack) -> None:
    address = server.url.removeprefix("http://")
    done = run("ask", "How", "are", "you?", "-m", "demo-echo", "--system", "Be brief.", "--server", address)
    assert (done.returncode, done.stdout) == (0, "How are you?\n"), done.stderr
    tokens = fetch(f"{server.url}/v1/streams/{stream_of(done.stderr)}/completion")["usage"]["prompt_tokens"]
    without = run("ask", "How are you?", "-m", "demo-echo", "--server", address)
    fewer = fetch(f"{server.url}/v1/streams/{stream_of(without.stderr)}/completion")["usage"]["prompt_tokens"]
    assert tokens > fewer, "the provider got the system prompt too"


def test_words_behind_two_hyphens_are_no_options(server: LocalStack) -> None:
    done = run("ask", "--model", "demo-echo", "--server", server.url, "--", "what", "does", "ls", "-l", "do?")
    assert done.stdout == "what does ls -l do?\n", done.stderr


def test_the_screen_has_no_colours_where_nobody_wants_them(server: LocalStack) -> None:
    with console("ask", "Hi", "--model", "demo-echo", "--server", server.url, NO_COLOR="1") as terminal:
        assert terminal.wait() == 0
    assert "\x1b" not in terminal.screen
    with console("ask", "Hi", "--model", "demo-echo", "--server", server.url, NO_COLOR="") as terminal:
        assert terminal.wait() == 0
    assert "\x1b" in terminal.screen, "an empty variable asks for nothing"


def test_a_hyphen_reads_the_question_from_the_standard_input(server: LocalStack) -> None:
    done = run("ask", "-", "--model", "demo-fast", "--server", server.url, feed="¿Qué? 😀")
    assert done.returncode == 0 and done.stdout
    assert run("ask", "-", "--server", server.url, feed=" \n").stderr == "manycast: the question is empty\n"


def test_a_question_that_is_no_utf_8_is_asked_all_the_same(server: LocalStack) -> None:
    done = subprocess.run(
        [*map(os.fsencode, manycast("ask", "--model", "demo-fast", "--server", server.url)), b"\xff\xfe?"],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=40,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)


def test_a_failure_is_told_in_the_providers_words(server: LocalStack) -> None:
    done = run("ask", "Hello", "--model", "fault-401", "--server", server.url)
    assert done.returncode == 1
    assert "failed: Incorrect API key provided" in done.stderr and "HTTP 401" in done.stderr
    done = run("ask", "Hello", "--model", "fault-truncated", "--server", server.url)
    assert done.returncode == 1 and done.stdout
    assert "failed: " in done.stderr and "upstream_truncated" in done.stderr


def test_an_emoji_that_the_provider_cut_in_two_comes_out_whole(server: LocalStack) -> None:
    done = run("ask", "Hello", "--model", "fault-surrogate", "--server", server.url, PYTHONIOENCODING="utf-8")
    assert done.returncode == 0
    assert "😀" in done.stdout


def test_a_terminal_that_knows_ascii_only_is_no_error(server: LocalStack) -> None:
    done = run("ask", "Hello", "--model", "fault-surrogate", "--server", server.url, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout.isascii()) == (0, True)


def test_ctrl_c_and_s_stop_the_run(server: LocalStack) -> None:
    with console("ask", "Hello", "--model", "demo-long", "--server", server.url) as terminal:
        terminal.wait_for("watch it at")
        terminal.wait_for("simulator, not a language model")
        terminal.type(CTRL_C)
        terminal.wait_for("[s]top the answer, or [l]eave it running?")
        terminal.type(b"s\n")
        assert terminal.wait() == 130
        assert "the answer is stopped" in terminal.screen
        assert status_of(server, stream_of(terminal.screen)) == "cancelled"


@pytest.mark.parametrize("keys", [b"l\n", b"\n", CTRL_C], ids=["l", "enter", "ctrl-c"])
def test_ctrl_c_and_any_other_key_leave_it_running(server: LocalStack, keys: bytes) -> None:
    with console("ask", "Hello", "--model", "demo-long", "--server", server.url) as terminal:
        terminal.wait_for("simulator, not a language model")
        terminal.type(CTRL_C)
        terminal.wait_for("[s]top the answer, or [l]eave it running?")
        terminal.type(keys)
        assert terminal.wait() == 130
        stream_id = stream_of(terminal.screen)
        assert f"the answer continues; watch it with: {CALLED} watch {server.url}/watch#{stream_id}" in terminal.screen
        assert status_of(server, stream_id) == "running"
        assert "Traceback" not in terminal.screen
    cancel(server, stream_id)


def test_interrupted_without_a_terminal_it_leaves_the_run_and_says_so(server: LocalStack) -> None:
    with started("ask", "Hello", "--model", "demo-long", "--server", server.url) as asking:
        assert asking.stdout is not None and asking.stderr is not None
        asking.stdout.read(1)
        asking.send_signal(signal.SIGINT)
        notes = asking.stderr.read()
        assert asking.wait(40) == 130
    assert notes.splitlines()[-1].startswith(f"the answer continues; watch it with: {CALLED} watch ")
    assert status_of(server, stream_of(notes)) == "running"
    cancel(server, stream_of(notes))


def test_watch_tells_that_somebody_else_has_stopped_it(server: LocalStack) -> None:
    with console("ask", "Hello", "--model", "demo-long", "--server", server.url) as terminal:
        terminal.wait_for("simulator, not a language model")
        stream_id = stream_of(terminal.screen)
        with console("watch", stream_id, "--server", server.url) as watching:
            watching.wait_for("simulator, not a language model")
            cancel(server, stream_id)
            assert (watching.wait(), terminal.wait()) == (1, 1)
            assert "stopped; the answer is not complete" in watching.screen


@pytest.fixture(params=[signal.SIG_DFL, signal.SIG_IGN], ids=["default", "ignored"])
def inherited_sigint(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a process that the test starts does at SIGINT, unless it says otherwise itself."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("inherited_sigint")
def test_ctrl_c_in_watch_just_ends_it(server: LocalStack) -> None:
    with console("ask", "Hello", "--model", "demo-long", "--server", server.url) as terminal:
        terminal.wait_for("simulator, not a language model")
        stream_id = stream_of(terminal.screen)
        with console("watch", stream_id, "--server", server.url) as watching:
            watching.wait_for("simulator, not a language model")
            watching.type(CTRL_C)
            assert watching.wait() == 130
            assert "Traceback" not in watching.screen
        assert status_of(server, stream_id) == "running"
        cancel(server, stream_id)


def test_a_reader_that_goes_away_is_no_traceback(server: LocalStack) -> None:
    with started("ask", "Hello", "--model", "demo-long", "--server", server.url) as asking:
        assert asking.stdout is not None and asking.stderr is not None
        asking.stdout.read(1)
        asking.stdout.close()
        notes = asking.stderr.read()
        assert asking.wait(40) == 1
    assert "Traceback" not in notes and "Broken" not in notes
    cancel(server, stream_of(notes))


def test_a_dying_gateway_loses_and_repeats_nothing(server: LocalStack) -> None:
    with console("ask", "Hello", "--model", "demo", "--server", server.url) as terminal:
        terminal.wait_for("Hello")
        os.kill(server.parts["gateway"], signal.SIGKILL)
        assert terminal.wait() == 0, terminal.screen
        assert "connection lost" in terminal.screen and "reconnected" in terminal.screen
        stream_id = stream_of(terminal.screen)
    whole = run("watch", stream_id, "--server", server.url).stdout
    shown = [line for line in plain(terminal.screen).splitlines() if not line.startswith(NOTES)]
    # A note on the same screen begins a new line, and the answer goes on after it.
    assert "".join(shown) == "".join(whole.splitlines())


def test_a_worker_that_dies_makes_the_answer_begin_again_and_it_is_said_why(server: LocalStack) -> None:
    with console("ask", "Hello", "--model", "demo", "--server", server.url) as terminal:
        terminal.wait_for("Hello")
        os.kill(server.parts["worker"], signal.SIGKILL)
        terminal.wait_for("the worker was lost: the answer begins again")
        assert terminal.wait() == 0, terminal.screen
    whole = run("watch", stream_of(terminal.screen), "--server", server.url)
    assert plain(terminal.screen).endswith(whole.stdout)
    assert whole.returncode == 0


def test_without_a_server_the_command_says_how_to_start_one() -> None:
    done = run("ask", "Hello", "--server", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == (
        f"manycast: cannot reach http://127.0.0.1:1 (Connection refused); start it with: {CALLED} up, "
        "or name another server with --server URL\n"
    )


def test_an_unknown_stream_is_reported_in_one_line(server: LocalStack) -> None:
    stream_id = "n" * 22
    done = run("watch", stream_id, "--server", server.url)
    assert (done.returncode, done.stderr) == (
        1,
        f"manycast: there is no answer {stream_id}: it never existed, or it has expired\n",
    )


def test_a_malformed_address_is_reported_in_one_line() -> None:
    done = run("watch", "hello")
    assert (done.returncode, done.stderr) == (
        1,
        "manycast: 'hello' is neither the id of an answer nor a link to one\n",
    )


def cancel(server: LocalStack, stream_id: str) -> None:
    request = urllib.request.Request(f"{server.url}/v1/streams/{stream_id}/cancel", method="POST")
    urllib.request.urlopen(request, timeout=10).close()
