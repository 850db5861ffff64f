"""How long Redis has answered without a break."""

from worker.jobs.connectivity import Connectivity


def test_before_the_first_answer_there_is_no_contact() -> None:
    assert Connectivity(1.0).lasted_s(100.0) == 0.0


def test_contact_counts_from_its_first_answer() -> None:
    connectivity = Connectivity(1.0)
    for now in (10.0, 11.0, 12.0):
        connectivity.record(now)
    assert connectivity.lasted_s(12.5) == 2.5


def test_a_long_silence_breaks_it_before_the_next_answer_and_after() -> None:
    connectivity = Connectivity(1.0)
    for now in (10.0, 11.0):
        connectivity.record(now)
    assert connectivity.lasted_s(12.5) == 0.0
    connectivity.record(12.5)
    assert connectivity.lasted_s(12.5) == 0.0
    connectivity.record(13.0)
    assert connectivity.lasted_s(13.0) == 0.5
