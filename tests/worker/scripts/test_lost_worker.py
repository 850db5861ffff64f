"""A worker dies under scripts that stand at every place of their way; another one goes on with each."""

import asyncio
import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from contract.connection import command_client
from contract.event import Event, Kind
from tests.broker import Broker, valkey_binary
from tests.stack import Simulator, Worker, closing_all
from tests.worker.conftest import QUICK
from tests.worker.runs import Caller, counts, done, has_chunks
from tests.worker.scripts.test_scripts import CHAINS, steps

NAMES = ("one", "two", "three")
PLACES = [
    *(f"before {name}" for name in NAMES),
    *(f"in {name} {after}" for name, after in product(NAMES, range(5))),
    "at the end",
]
CHANGED = "changed"


@dataclass
class Losses:
    """The logs of all runs when their worker died, and at their end: by the place where it died."""

    before: dict[str, list[Event]]
    logs: dict[str, list[Event]]
    paid: dict[str, int]
    output: str


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Losses]:
    """One worker with a run at each place dies, and another one takes all of them."""
    folder = tmp_path_factory.mktemp("scripts")
    shutil.copy(CHAINS, folder)
    broker, provider = Broker(valkey_binary()), Simulator(SIMULATOR_FIRST_CHUNK_MS="0")
    with closing_all(provider):
        yield asyncio.run(lose_worker(broker, provider, folder))
    broker.close()


async def lose_worker(broker: Broker, provider: Simulator, folder: Path) -> Losses:
    settings = {**QUICK, "MANYCAST_LEASE_S": "2", "MANYCAST_SCRIPTS": str(folder)}
    client = command_client(broker.url)
    caller = Caller(client)
    first = Worker(broker.url, provider.url, **settings)
    with closing_all(first):
        runs = {place: await caller.submit("script/held", hold=place) for place in PLACES}
        runs[CHANGED] = await caller.submit("script/changing", hold="at the end")
        before = {
            place: await caller.events_until(stream_id, partial(stands_at, place)) for place, stream_id in runs.items()
        }
        first.signal(signal.SIGKILL)
        first.wait()
    release(folder)
    second = Worker(broker.url, provider.url, **settings)
    with closing_all(second):
        logs = {place: await caller.finished(stream_id) for place, stream_id in runs.items()}
        paid = {model: counts(provider.url, model)["requests"] for model in ("demo-fast", "fault-stall-middle")}
        output = second.output
    await client.aclose()
    return Losses(before, logs, paid, output)


def release(folder: Path) -> None:
    """Lets the scripts go on, and changes one of them."""
    (folder / "_released").touch()
    file = folder / CHAINS.name
    file.write_text(file.read_text().replace("old name", "new name"))


def stands_at(place: str, events: list[Event]) -> bool:
    """Whether a run has come to the place where it stops."""
    ended = len(steps(events, "end"))
    if place == CHANGED:
        return ended == 1
    where, name, *after = place.split()
    if where == "in":
        begun = [step["id"] for step in steps(events, "begin") if step["name"] == name]
        written = [event for event in events if event.kind is Kind.CHUNK or b'"state":"chunk"' in event.data]
        here = [event for event in written if begun and f'"{begun[0]}"'.encode() in event.data]
        return bool(begun) and len(here) >= int(after[0])
    return ended == (len(NAMES) if where == "at" else NAMES.index(name)) and has_chunks(1)(events)


def test_no_finished_step_is_paid_for_again(losses: Losses) -> None:
    under_way = [place for place in PLACES if place.startswith("in ")]
    assert losses.paid == {
        "demo-fast": len(PLACES) * len(NAMES) + len([CHANGED]),
        "fault-stall-middle": len(under_way),
    }
    assert "Traceback" not in losses.output, losses.output


@pytest.mark.parametrize("place", PLACES)
def test_a_script_goes_on_from(losses: Losses, place: str) -> None:
    events = losses.logs[place]
    assert done(events)["status"] == "completed", done(events)
    assert events[: len(losses.before[place])] == losses.before[place]
    assert [step["id"] for step in steps(events, "begin")] == ["1", "2", "3"]
    texts = [step["message"]["content"] for step in steps(events, "end")]
    assert texts == [step["message"]["content"] for step in steps(losses.logs["before one"], "end")]
    assert text_of_answer(events) == texts[-1]
    assert len(steps(events, "restart")) == place.startswith("in ")


@pytest.mark.parametrize("place", PLACES)
def test_the_answer_begins_again_only_if_its_own_step_was_under_way(losses: Losses, place: str) -> None:
    events = losses.logs[place]
    reasons = [json.loads(event.data)["reason"] for event in events if event.kind is Kind.RESTART]
    had_text = any(b'"manycast"' in event.data for event in losses.before[place] if event.kind is Kind.CHUNK)
    assert reasons == (["step_restarted"] if had_text and place.startswith("in ") else [])


def test_a_script_that_was_changed_fails_with_the_name_of_the_step(losses: Losses) -> None:
    error = done(losses.logs[CHANGED])["error"]
    assert error["code"] == "script_changed"
    assert "step 'new name' is where step 'old name' was" in error["message"]


def text_of_answer(events: list[Event]) -> str:
    """As a viewer builds it: what came before a restart does not count."""
    text = ""
    for event in events:
        data = json.loads(event.data)
        if event.kind is Kind.RESTART:
            text = ""
        elif event.kind is Kind.CHUNK:
            text += "".join(choice["delta"].get("content") or "" for choice in data["choices"])
    return text
