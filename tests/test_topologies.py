"""The topologies that other tests rely on do what their names say, on Redis and on Valkey."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from manycast.chaos.redis_cluster import RedisCluster, is_following
from manycast.chaos.redis_node import NodeError, wait_until
from manycast.chaos.sentinel_group import SentinelGroup
from tests.broker import redis_binary, valkey_binary
from tests.topologies import redis_cluster, sentinel_group


@pytest.fixture(scope="module", params=["valkey", "redis"])
def server(request: pytest.FixtureRequest) -> str:
    binary = valkey_binary() if request.param == "valkey" else redis_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")
    return binary


@pytest.fixture(scope="module")
def cluster(server: str) -> Iterator[RedisCluster]:
    with redis_cluster("secret", server) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def group(server: str) -> Iterator[SentinelGroup]:
    with sentinel_group("secret", "hidden", server) as group:
        yield group


def test_a_cluster_spreads_slots_over_three_primaries(cluster: RedisCluster) -> None:
    owners = [cluster.owner_of(slot) for slot in (0, 8_000, 16_383)]
    assert owners == cluster.nodes[:3] == cluster.primaries()
    assert [cluster.replica_of(owner) for owner in owners] == cluster.nodes[3:]


def test_a_slot_moves_with_its_keys(cluster: RedisCluster) -> None:
    slot = cluster.slot_of("{p}")
    source = cluster.owner_of(slot)
    target = next(node for node in cluster.primaries() if node is not source)
    keys = [f"{{p}}:{at}" for at in range(250)]
    source.call_all([("SET", key, "x") for key in keys])
    assert cluster.begin_move(slot, target) is source
    cluster.move_keys(slot, source, target, 1)
    with pytest.raises(NodeError, match="ASK"):
        source.call_all([("GET", key) for key in keys])
    cluster.move_keys(slot, source, target)
    cluster.end_move(slot, target)
    assert cluster.owner_of(slot) is target
    assert target.call_all([("GET", key) for key in keys]) == [b"x"] * 250
    with pytest.raises(NodeError, match="MOVED"):
        source.call("GET", keys[0])
    cluster.move_slot(slot, source)
    assert source.call("GET", keys[0]) == b"x"


def test_a_replica_of_a_cluster_can_be_cut_off(cluster: RedisCluster) -> None:
    slot = cluster.slot_of("{p}")
    primary = cluster.owner_of(slot)
    replica = cluster.replica_of(primary)
    cluster.cut_off(replica)
    primary.call("SET", "{p}:late", "x")
    assert replica.call("PING") == b"PONG"
    assert not is_following(replica)
    cluster.rejoin(replica)
    assert replica.call_all([("READONLY",), ("GET", "{p}:late")])[1] == b"x"


def test_a_replica_takes_over_when_asked_and_when_its_primary_is_killed_or_frozen(cluster: RedisCluster) -> None:
    first = cluster.owner_of(0)
    second = cluster.replica_of(first)
    cluster.fail_over(second)
    cluster.wait_until_well()
    assert cluster.owner_of(0) is second

    second.kill()
    cluster.wait_for_takeover(second)
    assert cluster.owner_of(0) is first
    second.start()
    cluster.wait_until_well()

    first.freeze()
    cluster.wait_for_takeover(first)
    first.resume()
    cluster.wait_until_well()
    assert cluster.owner_of(0) is second


def test_a_failover_of_a_cluster_that_was_given_up_is_asked_for_again(cluster: RedisCluster) -> None:
    cluster.wait_until_well()
    slot = cluster.slot_of("{p}")
    primary = cluster.owner_of(slot)
    replica = cluster.replica_of(primary)
    given_up = "Manual failover timed out"
    before = replica.log.count(given_up)
    cluster.cut_off(replica)
    # It cannot take over before it has this.
    primary.call("SET", "{p}:late", "y")
    with ThreadPoolExecutor(1) as pool:
        failover = pool.submit(cluster.fail_over, replica)
        try:
            wait_until(lambda: replica.log.count(given_up) > before, "nobody gave it up", cluster.nodes)
        finally:
            cluster.rejoin(replica)
        failover.result()
    assert cluster.owner_of(slot) is replica
    cluster.wait_until_well()


def test_a_sentinel_group_replaces_its_primary(group: SentinelGroup) -> None:
    first, second = group.nodes
    assert (group.primary(), group.replica()) == (first, second)
    group.fail_over()
    group.wait_until_well()
    assert group.primary() is second

    second.kill()
    group.wait_for_takeover(second)
    assert group.primary() is first
    second.start()
    group.wait_until_well()

    first.freeze()
    group.wait_for_takeover(first)
    first.resume()
    group.wait_until_well()
    assert group.primary() is second


def test_a_replica_of_a_sentinel_group_can_be_cut_off(group: SentinelGroup) -> None:
    group.wait_until_well()
    primary, replica = group.primary(), group.replica()
    group.cut_off(replica)
    primary.call("SET", "late", "x")
    assert replica.call("GET", "late") is None
    group.rejoin(replica)
    assert replica.call("GET", "late") == b"x"


def test_nodes_and_sentinels_demand_their_passwords(group: SentinelGroup) -> None:
    for node, others in ((group.nodes[0], "hidden"), (group.sentinels[0], "secret")):
        with pytest.raises(NodeError, match="WRONGPASS"):
            node.call_all([("AUTH", others), ("PING",)])


def test_the_logs_name_every_node(cluster: RedisCluster) -> None:
    assert all(f"--- {node.name} " in cluster.logs for node in cluster.nodes)
