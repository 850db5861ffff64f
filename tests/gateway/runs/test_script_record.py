"""What comes before a step of a script, by the places of calls."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from contract.event import Event, Kind, encode_json
from contract.position import Position
from gateway.runs.script_record import ScriptRecord, encode_record, is_place, read_record

HEAD = {"id": "chatcmpl-old", "object": "chat.completion.chunk", "created": 1, "model": "script/s"}


class Log:
    """Writes events as a worker does."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.put(Kind.START, {"stream": "old", "epoch": 1, "chunk": HEAD})
        self.put(Kind.CHUNK, {"choices": [{"index": 0, "delta": {"role": "assistant"}}]})

    def put(self, kind: Kind, data: Mapping[str, Any]) -> None:
        self.events.append(Event(Position(1, len(self.events) + 1), kind, encode_json(data)))

    def step(self, place: str, kind: str = "generate", *, ended: bool = True) -> None:
        self.put(Kind.STEP, {"id": place, "state": "begin", "kind": kind, "name": place})
        if kind == "generate":
            self.put(Kind.STEP, {"id": place, "state": "chunk", "choices": []})
        if ended:
            self.put(Kind.STEP, {"id": place, "state": "end"})

    def end(self, place: str) -> None:
        self.put(Kind.STEP, {"id": place, "state": "end"})

    def say(self, place: str, text: str = "x") -> None:
        self.put(Kind.CHUNK, {"choices": [{"delta": {"content": text}}], "manycast": {"step": place}})

    @property
    def record(self) -> ScriptRecord:
        return read_record(self.events)


def told(entries: list[tuple[Kind, dict[str, Any]]]) -> list[str]:
    """Each entry in short."""
    shown = []
    for kind, data in entries:
        place = data.get("id") if kind is not Kind.CHUNK else data.get("manycast", {}).get("step", "")
        shown.append(" ".join(filter(None, (str(kind), place, data.get("state")))))
    return shown


def test_calls_before_a_step_are_kept_and_the_step_and_what_follows_are_not() -> None:
    log = Log()
    log.step("1")
    log.put(Kind.VALUE, {"id": "2", "name": "time", "value": 1})
    log.say("3")
    log.step("4")
    log.put(Kind.EMIT, {"id": "5", "name": "n", "step": None, "data": 1})
    assert told(log.record.before("4")) == [
        "chunk",
        *("step 1 begin", "step 1 chunk", "step 1 end"),
        "value 2",
        "chunk 3",
    ]


def test_nothing_comes_before_the_first_step() -> None:
    log = Log()
    log.step("1")
    assert log.record.before("1") == []


def test_a_step_that_contains_the_step_begins_before_it_and_ends_after_it() -> None:
    log = Log()
    log.put(Kind.STEP, {"id": "1", "state": "begin", "kind": "part", "name": "p"})
    log.step("1.1")
    log.step("1.2")
    log.end("1")
    assert told(log.record.before("1.2"))[1:] == ["step 1 begin", "step 1.1 begin", "step 1.1 chunk", "step 1.1 end"]


def test_parts_that_run_at_once_are_all_kept_but_for_what_follows_in_the_parts_own_line() -> None:
    log = Log()
    for place in ("2.1.1", "2.2.1", "2.1.2", "2.2.2", "3"):
        log.step(place)
    kept = {line.split()[1] for line in told(log.record.before("2.1.2"))[1:]}
    assert kept == {"2.1.1", "2.2.1", "2.2.2"}


def test_a_generation_that_has_not_ended_is_not_kept() -> None:
    log = Log()
    log.step("1.1.1", ended=False)
    log.say("1.1.1")
    log.step("1.2.1")
    assert told(log.record.before("1.2.1")) == []


def test_an_answer_that_began_again_is_kept_once() -> None:
    log = Log()
    log.say("1", "old")
    log.step("2")
    log.put(Kind.RESTART, {"epoch": 2, "reason": "step_restarted"})
    log.say("1", "new")
    log.step("3")
    said = [data["choices"][0]["delta"] for kind, data in log.record.before("3") if kind is Kind.CHUNK]
    assert said == [{"role": "assistant"}, {"content": "new"}]


def test_nothing_is_kept_of_what_came_before_a_script_was_changed() -> None:
    log = Log()
    for place in ("1", "2", "3"):
        log.step(place)
    log.put(Kind.RESTART, {"epoch": 2, "reason": "script_changed"})
    log.step("1", "part")
    log.step("1.1")
    log.step("1.2")
    assert log.record.kind_of("3") is None
    assert {line.split()[1] for line in told(log.record.before("1.2"))} == {"1", "1.1"}


@pytest.mark.parametrize(
    ("place", "step", "comes_before"),
    [("1", "2", True), ("2", "2", False), ("2.1", "2", False), ("2", "2.1", True), ("10", "9", False)],
)
def test_places_are_compared_as_numbers(place: str, step: str, comes_before: bool) -> None:
    assert Log().record.comes_before(place, step) is comes_before


def test_the_copy_is_a_log_of_the_new_stream() -> None:
    log = Log()
    log.say("1")
    log.step("2")
    lines = encode_record(log.record.before("2"), "new")
    kinds, datas = zip(*(line.decode().split(" ", 1) for line in lines), strict=True)
    assert kinds == ("start", "chunk", "chunk")
    assert json.loads(datas[0]) == {"stream": "new", "epoch": 1, "chunk": {**HEAD, "id": "chatcmpl-new"}}
    assert json.loads(datas[2]) == {"choices": [{"delta": {"content": "x"}}], "manycast": {"step": "1"}}


@pytest.mark.parametrize("text", ["", "0", "1.", "a", "1.0", "01", "1" * 20, ".".join("1" * 70)])
def test_other_texts_are_no_places(text: str) -> None:
    assert not is_place(text)
