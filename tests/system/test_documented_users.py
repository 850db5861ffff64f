"""The users of Redis that docs/operations.md describes: the stack works with them, on each topology."""

import re
from collections.abc import Sequence

import httpx2
import pytest

from manycast.chaos.redis_node import RedisNode
from tests.broker import valkey_binary
from tests.stack import ROOT, Gateway, Simulator, Worker, closing_all
from tests.topologies import redis_cluster, sentinel_group
from tests.viewers import question, read_events

pytestmark = pytest.mark.one_server("it starts topologies of its own")

PASSWORD = "pw"


def documented_users() -> dict[str, list[str]]:
    """The rules of each user."""
    text = (ROOT / "docs" / "operations.md").read_text()
    users = re.findall(r"^    user (gateway|worker|manycast) on >PASSWORD (.*)$", text, re.MULTILINE)
    assert len(users) == 3
    return {name: rules.split() for name, rules in users}


def create(nodes: Sequence[RedisNode], *names: str) -> None:
    for node in nodes:
        for name in names:
            node.call("ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", *documented_users()[name])


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
async def test_the_stack_works_with_the_documented_users(http: httpx2.AsyncClient, kind: str) -> None:
    # Redis before 7.2 does not know one of the rights.
    server = valkey_binary()
    with sentinel_group(server=server) if kind == "sentinel" else redis_cluster(server=server) as redis:
        create(redis.nodes, "gateway", "worker")
        options = ""
        if kind == "sentinel":
            create(redis.sentinels, "manycast")  # type: ignore[union-attr]
            options = f"?sentinel_username=manycast&sentinel_password={PASSWORD}"
        urls = {name: redis.url.replace("://", f"://{name}:{PASSWORD}@") + options for name in ("gateway", "worker")}
        simulator, gateway = Simulator(), Gateway(urls["gateway"])
        worker = Worker(urls["worker"], simulator.url)
        with closing_all(gateway, worker, simulator):
            answer = await http.post(
                f"{gateway.url}/v1/streams", json=question("demo"), headers={"Idempotency-Key": "one"}
            )
            assert answer.status_code == 201, answer.text
            seen = await read_events(http, f"{gateway.url}/v1/streams/{answer.json()['id']}/events")
            assert seen.done["status"] == "completed"
            assert (await http.get(f"{gateway.url}/readyz")).json()["ready"]
            assert (await http.get(f"{gateway.url}/v1/server")).status_code == 200
            for part in (gateway, worker):
                for word in ("NOPERM", "lacks", "ERROR", "WARNING"):
                    assert word not in part.output
