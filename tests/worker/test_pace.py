"""The pace of a run: chunks in each second."""

from worker.generations.pace import MAX_PACE_S, Pace


def test_the_pace_starts_at_the_first_chunk_and_has_quiet_seconds() -> None:
    pace = Pace()
    for now in (7.5, 7.6, 8.4, 8.6, 11.5):
        pace.record(now)
    assert pace.seconds == [3, 1, 0, 0, 1]


def test_a_run_without_chunks_has_no_pace() -> None:
    assert Pace().seconds == []


def test_chunks_after_the_last_counted_second_are_ignored() -> None:
    pace = Pace()
    pace.record(0.0)
    pace.record(float(MAX_PACE_S))
    assert pace.seconds == [1]
