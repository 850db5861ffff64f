"""Delays grow, are bounded, and end."""

from manycast.client.reconnect_delay import FIRST_DELAY_S, MAX_DELAY_S, ReconnectDelay


def test_delays_double_up_to_the_longest_and_start_again_after_progress() -> None:
    patience = ReconnectDelay(limit_s=1000, draw=lambda: 1.0)
    assert [patience.next_delay_s() for _ in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]
    patience.restore()
    assert patience.next_delay_s() == FIRST_DELAY_S


def test_the_jitter_spreads_over_the_upper_half_of_each_delay() -> None:
    assert ReconnectDelay(limit_s=10, draw=lambda: 0.0).next_delay_s() == FIRST_DELAY_S / 2


def test_the_wish_of_the_server_is_a_least_delay_within_reason() -> None:
    patience = ReconnectDelay(limit_s=1000, draw=lambda: 1.0)
    assert patience.next_delay_s(3) == 3
    assert patience.next_delay_s(3600) == MAX_DELAY_S


def test_the_patience_ends_when_that_much_was_waited_in_vain() -> None:
    patience = ReconnectDelay(limit_s=0.7, draw=lambda: 1.0)
    assert [patience.next_delay_s() for _ in range(3)] == [0.25, 0.5, None]
