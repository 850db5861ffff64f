"""A worker runs scripts: what their runs write, and how they fail."""

import json
import re
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.connection import Client, command_client
from contract.event import Event, Kind
from contract.worker_registry import read_offers
from tests.broker import Broker, valkey_binary
from tests.stack import Simulator, Worker, closing_all
from tests.worker.conftest import QUICK
from tests.worker.runs import Caller, chunks, counts, done, text, until

CHAINS = Path(__file__).with_name("chains.py")
MAX_CALLS = 50


@pytest.fixture(scope="module")
def place(provider: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Worker]]:
    """A broker, and a worker with the scripts of this folder."""
    folder = tmp_path_factory.mktemp("scripts")
    shutil.copy(CHAINS, folder)
    broker = Broker(valkey_binary())
    settings = {
        "MANYCAST_SCRIPTS": str(folder),
        "MANYCAST_SCRIPT_CALLS": str(MAX_CALLS),
        "MANYCAST_CHUNK_TIMEOUT_S": "1",
        # As authors have it: the tests' own environment turns warnings into errors.
        "PYTHONWARNINGS": "default",
    }
    worker = Worker(broker.url, provider.url, **{**QUICK, **settings})
    with closing_all(worker):
        yield broker, worker
    broker.close()


@pytest.fixture
async def redis(place: tuple[Broker, Worker]) -> AsyncIterator[Client]:
    client = command_client(place[0].url)
    yield client
    await client.aclose()


@pytest.fixture
def caller(redis: Client) -> Caller:
    return Caller(redis)


@pytest.fixture
def worker(place: tuple[Broker, Worker]) -> Worker:
    return place[1]


def steps(events: list[Event], state: str) -> list[dict[str, Any]]:
    told = [json.loads(event.data) for event in events if event.kind is Kind.STEP]
    return [step for step in told if step["state"] == state]


async def test_scripts_are_models(redis: Client, worker: Worker) -> None:
    found: list[str] = []
    while not found:
        found = [model.id for offer in await read_offers(redis) for model in offer.models]
        assert worker.process.poll() is None, worker.output
    assert found[-1] == "script/waits"


async def test_a_script_answers_and_its_steps_are_events(caller: Caller, provider: Simulator) -> None:
    before = counts(provider.url, "demo-fast").get("requests", 0)
    events = await caller.run("script/three", prompt="autumn")
    assert done(events)["status"] == "completed"
    assert [(step["kind"], step["name"]) for step in steps(events, "begin")] == [
        ("generate", "draft"),
        ("generate", "critique"),
        ("generate", "final"),
    ]
    draft, _, final = [step["message"]["content"] for step in steps(events, "end")]
    assert "A haiku about autumn" in draft
    assert text(events) == final != draft
    emitted = [json.loads(event.data) for event in events if event.kind is Kind.EMIT]
    assert [(one["name"], one["data"]) for one in emitted] == [("drafted", {"length": len(draft)})]
    assert counts(provider.url, "demo-fast")["requests"] == before + 2
    usage = done(events)["usage"]
    assert usage["total_tokens"] == sum(step["usage"]["total_tokens"] for step in steps(events, "end"))


async def test_the_first_words_of_a_script_come_with_those_of_its_model(caller: Caller) -> None:
    events = await caller.run("script/asks", prompt="demo-fast", simulator={"chunks": 4, "first_chunk_ms": 400})
    timing = done(events)["timing"]
    assert 400 <= timing["first_chunk_ms"] <= timing["total_ms"]


async def test_the_answer_of_a_script_has_the_form_of_openai(caller: Caller) -> None:
    found = chunks(await caller.run("script/three", prompt="autumn"))
    assert {(one["object"], one["model"], one["id"][:9]) for one in found} == {
        ("chat.completion.chunk", "script/three", "chatcmpl-")
    }
    assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [one["choices"][0]["finish_reason"] for one in found] == [None] * (len(found) - 1) + ["stop"]


async def test_a_fault_in_a_script_is_told_to_viewers_without_its_details(caller: Caller, worker: Worker) -> None:
    events = await caller.run("script/broken")
    error = done(events)["error"]
    assert (error["code"], text(events)) == ("script_error", "So far. ")
    assert error["message"] == "The script 'broken' failed (KeyError). The worker's log has the reason."
    await until(lambda: "KeyError: 'secret detail'" in worker.output, lambda: worker.output)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("broken", "chains.py, line {raise KeyError}: KeyError: 'secret detail'"),
        (
            "reads_keyboard",
            "chains.py, line {return input()}: EOFError: EOF when reading a line. A worker has no keyboard",
        ),
        ("returns_set", "TypeError: Object of type set is not JSON serializable"),
        ("forgets_await", "TypeError: Run.generate is a call that was not awaited: write `await` in front of it"),
    ],
)
async def test_the_log_names_the_line_of_the_author_and_no_lines_of_ours(
    caller: Caller, worker: Worker, script: str, words: str
) -> None:
    events = await caller.run(f"script/{script}")
    assert done(events)["error"]["code"] == "script_error"
    marked = re.search(r"\{(.*)\}", words)
    if marked:
        lines = CHAINS.read_text().splitlines()
        number = next(at for at, line in enumerate(lines, 1) if marked[1] in line)
        words = words.replace(marked[0], str(number))
    await until(lambda: words in worker.output, lambda: worker.output)
    line = [line for line in worker.output.splitlines() if words in line and " ERROR " in line][-1]
    assert f"script '{script}' failed at " in line
    if marked:
        told = worker.output.partition(line)[2].partition(" INFO ")[0]
        assert "script_runner.py" not in told


@pytest.mark.parametrize("where", ["here", "part", "step", "thread", "task"])
@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "CancelledError", "Odd"])
async def test_whatever_a_script_raises_ends_its_run_and_not_the_worker(caller: Caller, error: str, where: str) -> None:
    events = await caller.run("script/exits", prompt=f"{error} {where}")
    assert done(events)["error"]["code"] == "script_error"
    # No worker was lost: it is the first attempt.
    assert {event.position.epoch for event in events} == {1}


async def test_a_tool_that_hangs_does_not_keep_its_worker_from_ending(
    fragile_broker: Broker, provider: Simulator, tmp_path: Path
) -> None:
    shutil.copy(CHAINS, tmp_path)
    settings = {**QUICK, "MANYCAST_GRACE_S": "0.1", "MANYCAST_SCRIPTS": str(tmp_path)}
    worker = Worker(fragile_broker.url, provider.url, **settings)
    client = command_client(fragile_broker.url)
    with closing_all(worker):
        caller = Caller(client)
        stream_id = await caller.submit("script/stuck")
        await caller.events_until(
            stream_id, lambda events: any(one["kind"] == "tool" for one in steps(events, "begin"))
        )
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    await client.aclose()


async def test_a_script_fails_with_words_of_its_own(caller: Caller) -> None:
    error = done(await caller.run("script/refuses"))["error"]
    assert (error["code"], error["message"]) == ("script_failed", "Ask for something else.")


async def test_a_script_cannot_go_on_for_ever(caller: Caller) -> None:
    events = await caller.run("script/loops")
    error = done(events)["error"]
    assert (error["code"], error["message"]) == ("script_limit", f"The script has made more than {MAX_CALLS} calls.")
    assert text(events) == "again " * MAX_CALLS


async def test_an_event_that_is_not_json_is_told(caller: Caller) -> None:
    error = done(await caller.run("script/sends_no_json"))["error"]
    assert error["code"] == "script_error"
    assert "is not JSON" in error["message"]


async def test_a_call_that_is_not_awaited_is_told_with_its_name(caller: Caller, worker: Worker) -> None:
    assert text(await caller.run("script/forgets")) == ""
    told = re.compile(r"WARNING .*chains\.py, line \d+: RuntimeWarning: coroutine 'Run\.say' was never awaited\n")
    await until(lambda: told.search(worker.output), lambda: worker.output)


async def test_a_text_that_is_none_fails_at_the_line_of_the_script(caller: Caller, worker: Worker) -> None:
    error = done(await caller.run("script/says_no_text"))["error"]
    assert error["message"] == "The script 'says_no_text' failed (TypeError). The worker's log has the reason."
    await until(lambda: "await run.say({1, 2})" in worker.output, lambda: worker.output)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("fault-401", "invalid_api_key"),
        ("fault-error-frame", "server_error"),
        ("fault-truncated", "upstream_truncated"),
        ("fault-drop", "upstream_disconnected"),
        ("fault-garbage", "upstream_invalid"),
        ("fault-stall-middle", "upstream_timeout"),
    ],
)
async def test_a_provider_fails_in_a_step_as_it_fails_without_a_script(caller: Caller, model: str, code: str) -> None:
    alone, events = await caller.run(model), await caller.run("script/asks", prompt=model)
    assert done(events)["error"] == done(alone)["error"]
    assert done(events)["error"]["code"] == code
    (end,) = steps(events, "end")
    assert end["error"] == done(alone)["error"]


async def test_a_script_gets_the_default_model_if_it_names_none(caller: Caller) -> None:
    (end,) = steps(await caller.run("script/asks", prompt=""), "end")
    assert end["model"] == "demo"


async def test_a_script_that_is_not_there_is_an_unknown_model(caller: Caller) -> None:
    error = done(await caller.run("script/nothing"))["error"]
    assert (error["code"], error["http_status"]) == ("model_not_found", 404)
    assert "There is no script 'nothing'. There are: script/approving, script/asks, " in error["message"]


async def test_a_script_that_blocks_its_worker_is_told_with_its_line(caller: Caller, worker: Worker) -> None:
    assert text(await caller.run("script/blocks")) == "done"
    await until(
        lambda: re.search(r"blocks \(\S+/chains.py, line \d+\) has blocked this worker", worker.output) is not None
    )


async def test_a_cancelled_script_stops_its_provider_calls(caller: Caller, provider: Simulator) -> None:
    aborted = counts(provider.url, "fault-stall-middle").get("aborted", 0)
    stream_id = await caller.submit("script/waits")
    await caller.events_until(stream_id, lambda events: bool(steps(events, "chunk")))
    await caller.queue.cancel(stream_id)
    assert done(await caller.finished(stream_id))["status"] == "cancelled"
    await until(lambda: counts(provider.url, "fault-stall-middle")["aborted"] > aborted)
