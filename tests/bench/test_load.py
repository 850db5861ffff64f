"""The load driver calls a run correct only where each viewer had each event once, in order and byte for byte."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.faulty_server import Events, FaultyServer

VIEWERS, EVENTS = 3, 20


def put_back(events: Events) -> Events:
    events[7], events[8] = events[8], events[7]
    return events


def change(old: bytes, new: bytes) -> Callable[[Events], Events]:
    return lambda events: [*events[:7], events[7].replace(old, new), *events[8:]]


def load(directory: Path, fault: Callable[[Events], Events], piece: int = 700) -> dict[str, Any]:
    server = FaultyServer(VIEWERS, EVENTS, fault, piece)
    target = [
        "--port",
        str(server.port),
        "--path",
        "/%i",
        "--publish",
        "tcp",
        "--publish-port",
        str(server.publish_port),
    ]
    words = [*target, "--send", "%i %p\n", "--id-prefix", "1-", "--viewers", str(VIEWERS), "--events", str(EVENTS)]
    argv = [str(directory / "load"), *words, "--rate", "0", "--within", "5"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    server.close()
    said: dict[str, Any] = json.loads(ran.stdout)
    assert said["correct"] is (ran.returncode == 0)
    return said


@pytest.mark.parametrize(
    ("harmless", "piece"),
    [
        (lambda events: events, 700),
        (lambda events: events, 1),
        (lambda events: [event.replace(b"\n", b"\r\n") for event in events], 700),
        (lambda events: [b": ping\n\nretry: 10\n\nevent: ping\ndata: {}\n\n" + event for event in events], 700),
    ],
    ids=["as it should be", "byte by byte", "other line ends", "notes between"],
)
def test_a_whole_delivery_is_called_correct(directory: Path, harmless: Callable[[Events], Events], piece: int) -> None:
    said = load(directory, harmless, piece)
    assert (said["correct"], said["delivered"], said["whole"]) == (True, VIEWERS * EVENTS, VIEWERS)


@pytest.mark.parametrize(
    "fault",
    [
        lambda events: events[:7] + events[8:],
        lambda events: events[:-1],
        lambda events: [*events[:8], *events[7:]],
        lambda events: [*events, events[-1]],
        put_back,
        change(b"bench", b"Bench"),
        change(b"}]}", b"}]"),
        change(b'"0000 ', b'"0001 '),
        change(b"id: 1-", b"id: 2-"),
        change(b"x", b"y"),
        lambda events: [*events[:-1], events[-1][:-1]],
    ],
    ids=[
        "one is missing",
        "the last one is missing",
        "one comes twice",
        "the last one comes twice",
        "two have changed places",
        "a byte is another",
        "a byte is missing",
        "one is of another stream",
        "an id is another",
        "the filling is another",
        "the last one has no end",
    ],
)
def test_a_faulty_delivery_to_one_viewer_is_noticed(directory: Path, fault: Callable[[Events], Events]) -> None:
    assert not load(directory, fault)["correct"]
