"""When a provider that keeps failing is asked."""

import pytest

from worker.providers.breaker import MAX_PAUSE_S, Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(2, 8.0, clock)
    for _ in range(2):
        assert breaker.enter() is None
        breaker.fail()
    return breaker


def wait_out(breaker: Breaker, clock: Clock) -> float:
    """Waits for the end of the pause. Returns its length."""
    left_s = breaker.enter()
    assert left_s
    clock.now += left_s
    return left_s


def test_it_opens_after_failures_in_a_row(clock: Clock) -> None:
    breaker = Breaker(2, 8.0, clock)
    assert not breaker.fail()
    breaker.succeed()
    assert not breaker.fail()
    assert breaker.enter() is None
    assert breaker.fail()
    left_s = breaker.enter()
    assert left_s is not None
    assert 4 <= left_s <= 8


def test_without_a_limit_it_never_opens(clock: Clock) -> None:
    breaker = Breaker(0, 8.0, clock)
    assert not any(breaker.fail() or breaker.break_off() for _ in range(100))
    assert breaker.enter() is None


def test_after_the_pause_one_call_tries_the_provider(clock: Clock) -> None:
    breaker = opened(clock)
    wait_out(breaker, clock)
    assert breaker.enter() is None
    assert breaker.enter() == 8
    breaker.succeed()
    assert breaker.enter() is None
    assert breaker.enter() is None


def test_pauses_get_longer_until_the_provider_answers(clock: Clock) -> None:
    breaker = opened(clock)
    pauses = []
    for _ in range(12):
        pauses.append(wait_out(breaker, clock))
        assert breaker.enter() is None
        assert breaker.fail()
    assert pauses[0] <= 8
    assert MAX_PAUSE_S / 2 <= pauses[-1] <= MAX_PAUSE_S
    wait_out(breaker, clock)
    assert breaker.enter() is None
    breaker.succeed()
    assert not breaker.fail()
    assert breaker.fail()
    assert wait_out(breaker, clock) <= 8


def test_a_try_that_takes_long_does_not_keep_others_from_trying(clock: Clock) -> None:
    breaker = opened(clock)
    wait_out(breaker, clock)
    assert breaker.enter() is None
    wait_out(breaker, clock)
    assert breaker.enter() is None


def test_a_try_without_a_result_lets_the_next_call_try(clock: Clock) -> None:
    breaker = opened(clock)
    wait_out(breaker, clock)
    assert breaker.enter() is None
    breaker.leave()
    assert breaker.enter() is None


def test_a_sign_of_life_ends_the_row_of_failures_before_it(clock: Clock) -> None:
    breaker = Breaker(2, 8.0, clock)
    for _ in range(5):
        assert not breaker.fail()
        breaker.begin()


def test_only_a_whole_answer_ends_the_row_of_broken_ones(clock: Clock) -> None:
    breaker = Breaker(2, 8.0, clock)
    breaker.begin()
    assert not breaker.break_off()
    breaker.succeed()
    breaker.begin()
    assert not breaker.break_off()
    breaker.begin()
    assert breaker.break_off()
    assert breaker.failures == 2
    first_s = wait_out(breaker, clock)
    assert breaker.enter() is None
    breaker.begin()
    assert breaker.enter() is None
    assert breaker.break_off()
    assert wait_out(breaker, clock) >= first_s / 2
    breaker.succeed()
    breaker.begin()
    assert not breaker.break_off()


def test_calls_from_before_do_not_extend_the_pause(clock: Clock) -> None:
    breaker = opened(clock)
    left_s = breaker.enter()
    assert not breaker.fail()
    assert breaker.enter() == left_s
