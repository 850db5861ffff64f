"""The events of scripts, which most streams do not have."""

import json

from contract.position import Position
from contract.sse import Frame
from manycast.client.event import Emit, EventReader, Input, Step


def frame(event: str, position: str, **data: object) -> Frame:
    return Frame(event=event.encode(), data=json.dumps(data).encode(), id=position.encode())


def test_steps_and_events_of_a_script_are_read_with_their_positions() -> None:
    reader = EventReader()
    begin = {"id": "1", "state": "begin", "kind": "generate", "name": "draft"}
    assert reader.read(frame("step", "1-3", **begin)) == Step(Position(1, 3), "1", "begin", begin)
    emitted = reader.read(frame("emit", "1-4", id="2", name="progress", step="1", data=[1]))
    assert emitted == Emit(Position(1, 4), "progress", "1", [1])
    asked = {"id": "3", "state": "asked", "question": "Why?"}
    assert reader.read(frame("input", "1-5", **asked)) == Input(Position(1, 5), "3", "asked", asked)
    assert reader.read(frame("value", "1-6", id="3", name="random", value=0.5)) is None
    assert reader.position == Position(1, 6)
