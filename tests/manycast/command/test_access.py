"""`ask`, `watch` and `doctor` at a gateway that lets in only those who have a key, against everything real."""

import asyncio
import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.access.api_keys import make_key
from tests.manycast.command_line import CTRL_C, LocalStack, console, run, up, wait_until
from tests.manycast.scripted_server import LOG, STREAM_ID, Request, ScriptedServer, log_of, write_events, write_json

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

ANN, ANN_KEPT = make_key("ann")
BOB, BOB_KEPT = make_key("bob", requests_per_minute=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    kept = "\n".join(key.model_dump_json() for key in (ANN_KEPT, BOB_KEPT))
    with up(tmp_path_factory.mktemp("access") / "data", MANYCAST_KEYS=kept) as stack:
        wait_until(lambda: bool(fetch(f"{stack.url}/v1/models")["data"]), "no models are offered")
        yield stack


def fetch(url: str, method: str = "GET", key: str | None = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def link_of(notes: str) -> str:
    return str(re.findall(r"watch it at (\S+)", notes)[0])


def id_of(link: str) -> str:
    return str(re.findall(r"#([A-Za-z0-9_-]+)", link)[0])


@pytest.fixture(scope="module")
def private(server: LocalStack) -> tuple[str, str]:
    """The link to a private answer, and its text."""
    done = run("ask", "Hi", "-m", "demo-fast", "--private", "--server", server.url, MANYCAST_API_KEY=ANN)
    assert done.returncode == 0, done.stderr
    return link_of(done.stderr), done.stdout


def test_without_a_key_the_question_is_refused_in_words_and_nothing_is_started(server: LocalStack) -> None:
    done = run("ask", "Hi", "--server", server.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("manycast: ") and done.stderr.count("\n") == 1
    assert "(missing_api_key); set MANYCAST_API_KEY, or use --key-file" in done.stderr


def test_a_wrong_key_is_refused_and_not_shown(server: LocalStack) -> None:
    done = run("ask", "Hi", "--server", server.url, MANYCAST_API_KEY="mc-wrong")
    assert done.returncode == 1
    assert "(invalid_api_key)" in done.stderr and "mc-wrong" not in done.stderr


def test_a_key_from_a_file_opens(server: LocalStack, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{ANN}\n")
    done = run("ask", "Hi", "-m", "demo-fast", "--server", server.url, "--key-file", str(file))
    assert done.returncode == 0 and done.stdout, done.stderr
    assert run("ask", "Hi", "--key-file", str(tmp_path / "none")).returncode == 1


def test_one_request_too_many_is_told_with_the_time_to_wait(server: LocalStack) -> None:
    first, second = [run("ask", "Hi", "-m", "demo-fast", "--server", server.url, MANYCAST_API_KEY=BOB) for _ in "ab"]
    assert first.returncode == 0
    assert second.returncode == 1
    assert re.search(r"\(rate_limit_exceeded\); try again in \d+ s\n$", second.stderr), second.stderr


def test_whoever_has_the_link_of_a_private_answer_watches_without_a_key(
    server: LocalStack, private: tuple[str, str]
) -> None:
    link, text = private
    stream_id, _, ticket = link.partition("#")[2].partition(".")
    for address in (link, f"{server.url}/v1/streams/{stream_id}/events?ticket={ticket}"):
        done = run("watch", address)
        assert (done.returncode, done.stdout) == (0, text), done.stderr


def test_whoever_asked_in_private_watches_with_the_key_alone(server: LocalStack, private: tuple[str, str]) -> None:
    done = run("watch", id_of(private[0]), "--server", server.url, MANYCAST_API_KEY=ANN)
    assert (done.returncode, done.stdout) == (0, private[1]), done.stderr


@pytest.mark.parametrize("key", [{}, {"MANYCAST_API_KEY": BOB}], ids=["nobody", "another"])
def test_nobody_else_watches_a_private_answer(
    server: LocalStack, private: tuple[str, str], key: dict[str, str]
) -> None:
    done = run("watch", id_of(private[0]), "--server", server.url, **key)
    assert (done.returncode, done.stdout) == (1, "")
    assert "(ticket_missing); use the whole link" in done.stderr
    assert "(ticket_invalid)" in run("watch", f"{private[0][:-4]}AAAA").stderr


def test_a_link_that_was_taken_back_says_so(server: LocalStack) -> None:
    asked = run("ask", "Hi", "-m", "demo-fast", "--private", "--server", server.url, MANYCAST_API_KEY=ANN)
    link = link_of(asked.stderr)
    fetch(f"{server.url}/v1/streams/{id_of(link)}/tickets", "DELETE", ANN)
    done = run("watch", link)
    assert done.returncode == 1
    assert done.stderr.endswith("(ticket_revoked); ask the person who shared the link for a new one\n")


@pytest.mark.parametrize("options", [(), ("--private",)], ids=["unlisted", "private"])
def test_ctrl_c_and_s_stop_the_run_where_that_takes_a_ticket(server: LocalStack, options: tuple[str, ...]) -> None:
    arguments = ("ask", "Hi", "-m", "demo-long", "--server", server.url, *options)
    with console(*arguments, MANYCAST_API_KEY=ANN) as terminal:
        terminal.wait_for("simulator, not a language model")
        terminal.type(CTRL_C)
        terminal.wait_for("[s]top the answer, or [l]eave it running?")
        terminal.type(b"s\n")
        assert terminal.wait() == 130
        assert "the answer is stopped" in terminal.screen
        stream_id = id_of(link_of(terminal.screen))
    assert fetch(f"{server.url}/v1/streams/{stream_id}", key=ANN)["status"] == "cancelled"


def test_doctor_says_whether_the_key_opens(server: LocalStack) -> None:
    assert "you may ask questions, as key:ann" in run("doctor", "--server", server.url, MANYCAST_API_KEY=ANN).stdout
    wrong = run("doctor", "--server", server.url, MANYCAST_API_KEY="mc-wrong")
    assert wrong.returncode == 1
    assert "fail access" in wrong.stdout
    assert "warn access" in run("doctor", "--server", server.url).stdout


async def test_the_key_goes_to_our_own_server_and_to_no_other(scripted_server: ScriptedServer) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path.endswith("/events"):
            write_events(writer, log_of(LOG))
        else:
            write_json(writer, 200, {"position": "2-4", "data": []})

    scripted_server.answer = answer
    elsewhere = {"MANYCAST_API_KEY": ANN, "MANYCAST_SERVER": "http://127.0.0.1:1"}
    done = await asyncio.to_thread(run, "watch", f"{scripted_server.url}/watch#{STREAM_ID}", **elsewhere)
    assert done.returncode == 0, done.stderr
    assert {request.headers.get("authorization") for request in scripted_server.requests} == {None}
    scripted_server.requests.clear()
    await asyncio.to_thread(run, "watch", STREAM_ID, "--server", scripted_server.url, **elsewhere)
    assert {request.headers.get("authorization") for request in scripted_server.requests} == {f"Bearer {ANN}"}
