"""The sums of `manycast size`: more of anything never needs less, and the bottleneck is the one that dominates."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.capacity.costs import MEASURED, Load, predict_cpu
from manycast.capacity.estimate import (
    USABLE_REDIS_MEMORY,
    UTILIZATION,
    VIEWERS_PER_GATEWAY,
    Demand,
    estimate,
    watching_gateways,
)

MILLION = Demand(1e6, 5e4, 40, 8000, 86_400, 32e9)
SMALL = Demand(1000, 100, 40, 8000, 600, 32e9)

demands = st.builds(
    Demand,
    viewers=st.floats(1, 1e8),
    streams=st.floats(1, 1e6),
    chunks_per_s=st.floats(0.5, 500),
    answer_bytes=st.floats(4, 1e6),
    retention_s=st.floats(1, 1e6),
    node_bytes=st.floats(1e9, 1e12),
)


def test_one_event_of_one_stream_with_one_viewer_costs_the_sum_of_its_steps() -> None:
    used = predict_cpu(Load(1, 1, 1, 0, 0, 1), MEASURED)
    assert used.gateway_us == MEASURED.gateway_event_us + MEASURED.gateway_viewer_event_us
    assert used.worker_us == MEASURED.worker_chunk_us
    assert used.redis_us == MEASURED.redis_chunk_us + MEASURED.redis_receiver_us


@given(demands)
def test_the_processes_carry_the_load(demand: Demand) -> None:
    gateway, worker, redis = estimate(demand, MEASURED).parts
    for part in (gateway, worker, redis):
        assert part.processes >= 1
        assert part.processes * UTILIZATION >= part.cores * 0.999
    assert gateway.processes * VIEWERS_PER_GATEWAY >= demand.viewers
    assert redis.processes * demand.node_bytes * USABLE_REDIS_MEMORY >= redis.total_bytes * 0.999


@given(demands, st.sampled_from(["viewers", "answer_bytes", "retention_s"]))
def test_more_never_needs_less_memory(demand: Demand, what: str) -> None:
    more = replace(demand, **{what: getattr(demand, what) * 2})
    before, after = (sum(part.total_bytes for part in estimate(one, MEASURED).parts) for one in (demand, more))
    # Answers twice as long take twice as long: half as many begin in a second, so their records are fewer.
    assert after >= before * 0.5


@pytest.mark.parametrize(
    ("viewers", "gateways", "expected"), [(1, 1, 1), (100, 1, 1), (1, 50, 1), (1e6, 50, 50), (0.5, 1, 0.5)]
)
def test_a_stream_is_watched_on_as_many_gateways_as_it_has_viewers_at_most(
    viewers: float, gateways: float, expected: float
) -> None:
    assert watching_gateways(viewers, gateways) == pytest.approx(expected)


def test_the_bottleneck_is_what_the_most_is_needed_of() -> None:
    assert "memory of Redis" in estimate(MILLION, MEASURED).bottleneck
    assert "gateway" in estimate(replace(MILLION, retention_s=60), MEASURED).bottleneck
    unwatched = replace(MILLION, retention_s=60, viewers=1)
    assert "worker" in estimate(unwatched, MEASURED).bottleneck or "Redis" in estimate(unwatched, MEASURED).bottleneck


def test_advice_is_given_only_where_it_helps() -> None:
    assert estimate(SMALL, MEASURED).advice == ()
    by_hash, by_retention, by_setting = estimate(MILLION, MEASURED).advice
    assert "hash" in by_hash
    assert "MANYCAST_RETENTION_S" in by_retention
    assert "MANYCAST_WORKER_STREAMS" in by_setting
