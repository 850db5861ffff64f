from simulator.knobs import read_knobs
from simulator.pace import Pace

PACE = Pace(350, 60, 0.3)


def test_what_a_request_sets_goes_over_the_pace_and_the_rest_stays() -> None:
    assert read_knobs({"chunks_per_s": 0, "seed": 1}).turn(PACE) == Pace(350, 0, 0.3)
    assert read_knobs({"first_chunk_ms": 0, "jitter": 1}).turn(PACE) == Pace(0, 60, 1)


def test_without_a_word_about_it_the_pace_stays() -> None:
    assert read_knobs(None).turn(PACE) == read_knobs({}).turn(PACE) == PACE
