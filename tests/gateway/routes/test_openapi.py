"""The OpenAPI document tells the truth: no call answers what it does not say, whatever it is sent."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks

from gateway.app import Gateway as GatewayApp
from gateway.routes.openapi import CALLS
from gateway.settings import Settings
from tests.broker import Broker, valkey_binary
from tests.stack import Gateway, Simulator, Worker, closing_all

# They stream: what they say when they are refused is tested with all the others, what they say else in many places.
STREAMING = {("get", "/v1/streams/{stream_id}/events"), ("get", "/api/chat/{chat}/stream")}
TRUTHS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
BODY = {"model": "demo-fast", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def stack() -> Iterator[Gateway]:
    """A worker, and a provider that loses no time."""
    broker = Broker(valkey_binary())
    simulator = Simulator(SIMULATOR_FIRST_CHUNK_MS="0", SIMULATOR_CHUNKS_PER_S="0")
    gateway = Gateway(broker.url, MANYCAST_LIST_RUNS="1")
    try:
        with closing_all(gateway, Worker(broker.url, simulator.url), simulator):
            with httpx2.Client(base_url=gateway.url, timeout=20) as http:
                assert http.post("/v1/chat/completions", json=BODY).status_code == 200
            yield gateway
            assert "Traceback" not in gateway.output
    finally:
        broker.close()


@pytest.fixture(scope="module")
def document(stack: Gateway) -> Any:
    return schemathesis.openapi.from_url(f"{stack.url}/openapi.json")


def test_every_call_is_documented_and_no_other() -> None:
    paths = GatewayApp(Settings()).api.openapi()["paths"]
    assert {(method, path) for path, calls in paths.items() for method in calls} == set(CALLS)
    names = [call["operationId"] for calls in paths.values() for call in calls.values()]
    assert len(set(names)) == len(names)


def attempts() -> Iterator[tuple[str, str, GenerationMode]]:
    """Each call with what its document asks for, and with what it does not; of an id any is sent anyway."""
    for method, path in sorted(set(CALLS) - STREAMING):
        yield method, path, GenerationMode.POSITIVE
        if CALLS[method, path].body:
            yield method, path, GenerationMode.NEGATIVE


@pytest.mark.parametrize(("method", "path", "mode"), list(attempts()))
def test_a_call_answers_what_its_document_says(document: Any, method: str, path: str, mode: GenerationMode) -> None:
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=document[path][method.upper()].as_strategy(generation_mode=mode))
    def probe(case: Any) -> None:
        case.validate_response(case.call(timeout=30), checks=TRUTHS)

    probe()


async def test_what_a_run_that_is_there_answers_is_in_the_document_too(stack: Gateway, document: Any) -> None:
    async with httpx2.AsyncClient(base_url=stack.url, timeout=20) as http:
        started = (await http.post("/v1/streams", json={**BODY, "manycast": {"visibility": "private"}})).json()
        await http.get(started["urls"]["events"])
        for name, place in (("status", ""), ("completion", "/completion")):
            answer = await http.get(started["urls"][name])
            assert answer.status_code == 200
            document["/v1/streams/{stream_id}" + place]["GET"].validate_response(answer)
        document["/v1/streams/{stream_id}/cancel"]["POST"].validate_response(await http.post(started["urls"]["cancel"]))
        document["/v1/streams"]["GET"].validate_response(await http.get("/v1/streams"))
