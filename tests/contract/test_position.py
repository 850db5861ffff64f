"""Positions: text and back, order, and everything that is none."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.position import START, MalformedPositionError, Position

NUMBERS = st.integers(min_value=0, max_value=10**15 - 1)
POSITIONS = st.builds(Position, NUMBERS, NUMBERS)


@given(POSITIONS)
def test_a_position_survives_the_way_through_text(position: Position) -> None:
    assert Position.parse(str(position)) == position


@given(POSITIONS, POSITIONS)
def test_positions_are_ordered_by_epoch_and_then_by_seq(one: Position, other: Position) -> None:
    assert (one < other) == (one.epoch < other.epoch or (one.epoch == other.epoch and one.seq < other.seq))


@given(POSITIONS)
def test_the_start_is_before_every_event(position: Position) -> None:
    assert position >= START


@given(st.from_regex(r"(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,14})", fullmatch=True))
def test_one_position_has_one_text(text: str) -> None:
    assert str(Position.parse(text)) == text


MALFORMED = [
    *("", "-", "1", "1-", "-1", "1-1-1", " 1-1", "1-1 ", "1-1\n", "1-1\x00", "01-1", "1-01", "00-0"),
    *("+1-1", "1--1", "1.0-1", "1e3-1", "1_0-1", "0x1-1", "null", "(1-1", "*", "$", ">", "+"),
    # Digits and a minus that are not ASCII: int() would take the digits.
    *("1\u22121", "\u0661-\u0661", "\uff11-\uff11"),
    *("1000000000000000-1", "1-1000000000000000", "9" * 10_000 + "-1"),
]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_position_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(MalformedPositionError, match="expected EPOCH-SEQ, for example 1-42") as refused:
        Position.parse(text)
    # Whoever sent it may have sent a megabyte: the sentence stays a line.
    assert len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)


@given(st.text(max_size=20))
def test_text_is_a_position_or_is_refused(text: str) -> None:
    with contextlib.suppress(MalformedPositionError):
        assert str(Position.parse(text)) == text
