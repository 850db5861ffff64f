"""Chunks as differences, and JSON as one line: nothing is lost, whatever a provider sends."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.event import (
    Event,
    Kind,
    MalformedEventError,
    Status,
    chunk_difference,
    encode_json,
    entry_line,
    merge_chunk,
    parse_entry,
    shared_fields,
)
from contract.position import Position
from tests.contract.chunks import CHUNKS, RUNS, VALUES, Chunk


def exactly(value: object) -> str:
    """JSON text: it tells apart 1, 1.0 and true, 0.0 and -0.0, and the order of nested names, which == does not."""
    if isinstance(value, dict):
        value = dict(sorted(value.items()))
    return json.dumps(value)


def over_the_wire(value: Chunk) -> Chunk:
    parsed: Chunk = json.loads(encode_json(value))
    return parsed


@pytest.mark.parametrize("chunks", RUNS.values(), ids=RUNS.keys())
def test_every_chunk_of_a_run_comes_back_from_the_wire_without_loss(chunks: list[Chunk]) -> None:
    shared = shared_fields(chunks[0])
    assert "choices" not in shared
    for chunk in chunks:
        difference = over_the_wire(chunk_difference(shared, chunk))
        assert exactly(merge_chunk(over_the_wire(shared), difference)) == exactly(chunk)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_any_chunk_may_follow_any_other(run: list[Chunk]) -> None:
    for first, chunk in itertools.product(run, itertools.chain(*RUNS.values())):
        shared = shared_fields(first)
        assert exactly(merge_chunk(shared, over_the_wire(chunk_difference(shared, chunk)))) == exactly(chunk)


@given(CHUNKS, CHUNKS)
def test_the_difference_of_any_two_objects_merges_back(first: Chunk, chunk: Chunk) -> None:
    shared = shared_fields(first)
    difference = over_the_wire(chunk_difference(shared, chunk))
    assert exactly(merge_chunk(over_the_wire(shared), difference)) == exactly(chunk)


@given(CHUNKS, CHUNKS)
def test_neither_difference_nor_merge_changes_what_it_is_given(first: Chunk, chunk: Chunk) -> None:
    before = exactly(first), exactly(chunk)
    difference = chunk_difference(first, chunk)
    written = exactly(difference)
    merge_chunk(first, difference)
    assert (exactly(first), exactly(chunk), exactly(difference)) == (*before, written)


def test_a_chunk_that_only_brings_a_delta_costs_only_its_choices() -> None:
    chunks = RUNS["text"]
    shared = shared_fields(chunks[0])
    assert list(chunk_difference(shared, chunks[1])) == ["choices"]
    assert list(chunk_difference(shared, chunks[-1])) == ["usage", "choices"]


def test_a_chunk_equal_to_the_shared_fields_is_an_empty_difference() -> None:
    assert chunk_difference({"id": "x"}, {"id": "x"}) == {}
    assert merge_chunk({"id": "x"}, {}) == {"id": "x"}


@given(VALUES)
def test_json_is_one_line_for_every_line_reader(value: Any) -> None:
    text = encode_json(value).decode()
    # Readers that split as Python's str.splitlines does also end a line at U+0085, U+2028 and U+2029.
    assert len(text.splitlines()) == 1
    assert exactly(json.loads(text)) == exactly(json.loads(json.dumps(value)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), [{"a": float("nan")}]])
def test_values_that_json_lacks_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_json(value)


def test_text_stays_readable_and_short() -> None:
    assert encode_json({"a": "Grüße 🎈"}) == '{"a":"Grüße 🎈"}'.encode()


@given(st.sampled_from(Kind), CHUNKS, st.integers(1, 9), st.integers(1, 10**6))
def test_an_entry_survives_the_log(kind: Kind, data: Chunk, epoch: int, seq: int) -> None:
    position = Position(epoch, seq)
    line = entry_line(kind, encode_json(data))
    assert b"\n" not in line
    assert parse_entry(position, line) == Event(position, kind, encode_json(data))


@pytest.mark.parametrize("line", [b"", b"chunk", b"{}", b" {}", b"ping {}", b"Chunk {}", b"\xff {}", b"chunk\t{}"])
def test_a_malformed_entry_is_reported_with_its_position(line: bytes) -> None:
    with pytest.raises(MalformedEventError, match="entry 1-7 "):
        parse_entry(Position(1, 7), line)


def test_a_status_knows_whether_it_is_final() -> None:
    assert [status for status in Status if status.is_final] == ["completed", "cancelled", "failed"]
