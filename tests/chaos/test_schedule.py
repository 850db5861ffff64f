"""The same seed does the same faults, and a short run has every kind."""

from collections import Counter

import pytest

from manycast.chaos.chain_script import MODEL
from manycast.chaos.examples import TEXTS
from manycast.chaos.schedule import GROUPS, LENGTHS_S, ONE_REDIS, Kind, TopologyName, kinds_of, plan_faults
from manycast.chaos.workload import MODELS, plan_stream


def test_the_same_seed_plans_the_same_and_another_seed_does_not() -> None:
    assert plan_faults(7, 60, 3, 3) == plan_faults(7, 60, 3, 3)
    assert plan_faults(7, 60, 3, 3) != plan_faults(8, 60, 3, 3)
    assert plan_stream(7, 5) == plan_stream(7, 5)
    assert plan_stream(7, 5) != plan_stream(8, 5)


def test_a_longer_run_begins_as_a_shorter_one_does() -> None:
    short = plan_faults(7, 30, 3, 3)
    assert plan_faults(7, 600, 3, 3)[: len(short)] == short


@pytest.mark.parametrize("topology", TopologyName)
def test_every_kind_comes_once_before_any_comes_again(topology: TopologyName) -> None:
    kinds = [fault.kind for fault in plan_faults(7, 600, 3, 3, topology)]
    of_group = GROUPS[topology]
    for expected in filter(None, (of_group, set(kinds_of(topology)) - of_group)):
        chosen = [kind for kind in kinds if kind in expected]
        rounds = [chosen[at : at + len(expected)] for at in range(0, len(chosen) - len(expected) + 1, len(expected))]
        assert len(rounds) > 5
        assert all(set(each) == set(expected) for each in rounds)


def test_a_topology_has_the_faults_of_its_servers_and_no_others() -> None:
    one, sentinel, cluster = (set(kinds_of(topology)) for topology in TopologyName)
    assert one == set(Kind) - GROUPS[TopologyName.CLUSTER]
    assert cluster == set(Kind) - ONE_REDIS
    assert cluster - sentinel == {Kind.SLOTS_MOVE}


@pytest.mark.parametrize("topology", TopologyName)
def test_faults_come_in_order_within_their_lengths_at_places_that_there_are(topology: TopologyName) -> None:
    faults = plan_faults(7, 600, 3, 2, topology)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
    assert faults[-1].at_s < 600
    for fault in faults:
        shortest, longest = LENGTHS_S[fault.kind]
        assert shortest <= fault.length_s <= longest
        assert fault.target < {"worker": 3, "gateway": 2}.get(fault.kind.value.split()[0], 1)


def test_every_model_is_asked_for_and_every_way_of_watching_comes() -> None:
    plans = [plan_stream(7, number) for number in range(400)]
    examples = {f"script/{name}" for name in TEXTS}
    assert set(Counter(plan.model for plan in plans)) == {*MODELS, MODEL, *examples}
    assert {len(plan.people) for plan in plans if plan.is_chain} == {0, 1, 2}
    assert not any(plan.people for plan in plans if not plan.is_chain)
    assert {"fail"} <= {plan.body.get("manycast", {}).get("on_worker_lost") for plan in plans}
    assert any(plan.cancel_after_s is not None for plan in plans)
    assert any(plan.repeats_s for plan in plans)
    viewers = [viewer for plan in plans for viewer in plan.viewers]
    for told in ("delay_s", "cuts", "is_slow", "joins_at_another", "returns_after_end"):
        assert {bool(getattr(viewer, told)) for viewer in viewers} == {True, False}
    assert len({viewer.name for viewer in viewers}) == len(viewers)
