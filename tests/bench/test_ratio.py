"""The guard against regressions: what an event and a viewer cost us, beside what they cost another server.

A ratio of CPU in one run of both, and never a time: a busy machine slows both.
"""

from collections.abc import Iterable
from pathlib import Path

from bench.end_to_end import Plan, measure_end_to_end
from bench.first_chunk import measure_sdk_us_per_chunk
from bench.joins import JoinPlan, measure_joins
from bench.run import Result, measure
from bench.workload import Workload

MOST = 0.5
"""It is a tenth on a quiet machine."""
MOST_OF_A_JOIN = 0.25
"""It is a sixth: the same gateway behind the framework, and with a task for each viewer. Through uvicorn, but not
through the framework, it is a third."""
JOINS = JoinPlan("joins", 300, 20)
MOST_OF_A_CHUNK = 1.0
"""It is a third: the worker, beside what the official SDK alone takes to read a chunk."""
CALLS = Plan("100 runs", 100, 150, 50)
ROOM = Workload("room", "", (), viewers=100, events=150, rate=100)


def test_an_event_costs_half_of_what_the_tutorials_server_spends_on_it(directory: Path) -> None:
    pairs = [(measure(directory, ROOM, "manycast"), measure(directory, ROOM, "naive")) for _ in range(2)]
    assert all(ours.is_correct for ours, _ in pairs)
    # The cheaper run of each: trouble only adds.
    assert _least(ours for ours, _ in pairs) < MOST * _least(naive for _, naive in pairs)


def test_a_viewer_who_joins_costs_less_than_through_the_framework(directory: Path) -> None:
    pairs = [(measure_joins(directory, JOINS, "manycast"), measure_joins(directory, JOINS, "sse")) for _ in range(2)]
    assert min(ours for ours, _ in pairs) < MOST_OF_A_JOIN * min(theirs for _, theirs in pairs)


def test_the_worker_spends_less_on_a_chunk_than_the_sdk_takes_to_read_it() -> None:
    pairs = [(measure_end_to_end(CALLS).worker_us_per_chunk, measure_sdk_us_per_chunk()) for _ in range(2)]
    assert min(ours for ours, _ in pairs) < MOST_OF_A_CHUNK * min(theirs for _, theirs in pairs), pairs


def _least(results: Iterable[Result]) -> float:
    return min(result.us_per_event for result in results)


def test_every_other_way_delivers_everything_too(directory: Path) -> None:
    assert measure(directory, ROOM, "sse").is_correct
    assert measure(directory, ROOM, "limit").is_correct


def test_viewers_of_many_streams_get_everything(directory: Path) -> None:
    assert measure(directory, Workload("streams", "", (), streams=20, viewers=2, events=20), "manycast").is_correct
