"""Delays between tries: they double, stay below their limit, and are spread by chance."""

from contract.backoff import Backoff


def test_delays_double_up_to_the_limit() -> None:
    backoff = Backoff(0.25, 3.0, draw=lambda: 1.0)
    assert [backoff.next_delay_s() for _ in range(6)] == [0.25, 0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_success_makes_the_next_delay_the_first_again() -> None:
    backoff = Backoff(0.25, 3.0, draw=lambda: 1.0)
    for _ in range(3):
        backoff.next_delay_s()
    assert backoff.failures == 3
    backoff.reset()
    assert backoff.next_delay_s() == 0.25


def test_chance_shortens_a_delay_by_up_to_half() -> None:
    assert Backoff(1.0, 3.0, draw=lambda: 0.0).next_delay_s() == 0.5
    delays = {Backoff(1.0, 3.0).next_delay_s() for _ in range(100)}
    assert len(delays) > 1
    assert all(0.5 <= delay_s <= 1.0 for delay_s in delays)


def test_a_million_failures_do_not_overflow() -> None:
    backoff = Backoff(0.25, 3.0, draw=lambda: 1.0)
    backoff.failures = 1_000_000
    assert backoff.next_delay_s() == 3.0
