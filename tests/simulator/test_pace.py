from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.pace import WITHOUT_PAUSES, Pace

paces = st.builds(Pace, st.floats(0, 1e4), st.floats(0.1, 1e4), st.floats(0, 1))


@given(paces, st.integers())
def test_no_chunk_is_due_before_the_one_before_it(pace: Pace, seed: int) -> None:
    due = list(islice(pace.due_seconds(seed), 200))
    assert all(earlier <= later + 1e-9 for earlier, later in pairwise(due))


@given(paces, st.integers())
def test_jitter_does_not_add_up(pace: Pace, seed: int) -> None:
    first, *_, last = islice(pace.due_seconds(seed), 2, 2_003)
    assert last - first == pytest.approx(2_000 / pace.chunks_per_s, abs=1.01 / pace.chunks_per_s)


def test_without_jitter_each_chunk_is_due_at_its_time() -> None:
    assert list(islice(Pace(500, 10, 0).due_seconds(None), 4)) == pytest.approx([0.5, 0.5, 0.6, 0.7])


def test_without_pauses_everything_is_due_at_once() -> None:
    assert set(islice(WITHOUT_PAUSES.due_seconds(None), 100)) == {0.0}


def test_the_same_seed_gives_the_same_times() -> None:
    pace = Pace(350, 60, 0.3)
    one, same, other = (list(islice(pace.due_seconds(seed), 50)) for seed in (1, 1, 2))
    assert one == same != other
