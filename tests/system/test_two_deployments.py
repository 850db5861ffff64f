"""Two deployments on one database: each answers its own questions."""

from collections.abc import Iterator

import httpx2
import pytest

from contract.stream_id import is_stream_id
from tests.broker import Broker
from tests.stack import Gateway, Simulator, Worker, closing_all
from tests.viewers import question

PREFIXES = ("production", "staging")


@pytest.fixture
def gateways(fragile_broker: Broker) -> Iterator[list[Gateway]]:
    simulator = Simulator()
    gateways, workers = [], []
    for prefix in PREFIXES:
        settings = {"MANYCAST_PREFIX": prefix}
        gateways.append(Gateway(fragile_broker.url, MANYCAST_LIST_RUNS="1", **settings))
        # The name of the default model says which deployment has answered.
        model = {"MANYCAST_DEFAULT_MODEL": f"demo-{prefix}"}
        workers.append(Worker(fragile_broker.url, simulator.url, **settings, **model))
    with closing_all(*gateways, *workers, simulator):
        yield gateways


async def test_each_deployment_answers_its_own_questions(http: httpx2.AsyncClient, gateways: list[Gateway]) -> None:
    ids: list[list[str]] = [[], []]
    for _ in range(6):
        for gateway, known in zip(gateways, ids, strict=True):
            body = question("", "Why?")
            del body["model"]
            answer = await http.post(f"{gateway.url}/v1/streams", json=body)
            known.append(answer.json()["id"])
    assert all(is_stream_id(stream_id) for known in ids for stream_id in known)
    for gateway, own, others in zip(gateways, ids, ids[::-1], strict=True):
        for stream_id in own:
            # The provider has neither model, so each run fails with its deployment's own.
            events = await http.get(f"{gateway.url}/v1/streams/{stream_id}/events")
            assert "event: done" in events.text
        listed = (await http.get(f"{gateway.url}/v1/streams")).json()["data"]
        assert sorted(run["id"] for run in listed) == sorted(own)
        for stream_id in others:
            assert (await http.get(f"{gateway.url}/v1/streams/{stream_id}")).status_code == 404
    for gateway, prefix in zip(gateways, PREFIXES, strict=True):
        server = (await http.get(f"{gateway.url}/v1/server")).json()
        assert [worker["default_model"] for worker in server["workers"]] == [f"demo-{prefix}"]
