"""The OpenAPI document is true: no call gives an answer that is not documented, whatever it is sent."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks

from gateway.app import Gateway as GatewayApp
from gateway.settings import Settings
from tests.broker import Broker, valkey_binary
from tests.stack import Gateway, Simulator, Worker, closing_all

DOCUMENT = GatewayApp(Settings()).api.openapi()
CALLS = {(method, path): call for path, calls in DOCUMENT["paths"].items() for method, call in calls.items()}
# They do not end by themselves. Other tests check what they stream.
STREAMING = {("get", "/v1/streams/{stream_id}/events"), ("get", "/v1/events"), ("get", "/api/chat/{chat}/stream")}
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
    """A gateway, a worker, and a provider that answers at once."""
    broker = Broker(valkey_binary())
    simulator = Simulator(SIMULATOR_FIRST_CHUNK_MS="0", SIMULATOR_CHUNKS_PER_S="0")
    gateway = Gateway(broker.url, MANYCAST_LIST_RUNS="1")
    try:
        with closing_all(gateway, Worker(broker.url, simulator.url), simulator):
            with httpx2.Client(base_url=gateway.url, timeout=60) as http:
                assert http.post("/v1/chat/completions", json=BODY).status_code == 200
            yield gateway
            assert "Traceback" not in gateway.output
    finally:
        broker.close()


@pytest.fixture(scope="module")
def document(stack: Gateway) -> Any:
    return schemathesis.openapi.from_url(f"{stack.url}/openapi.json")


def test_every_call_has_a_unique_name_and_documents_its_access() -> None:
    names = [call["operationId"] for call in CALLS.values()]
    assert len(set(names)) == len(names) > 10
    assert [place for place, call in CALLS.items() if not call.get("security")] == []


def test_every_documented_error_has_openais_shape() -> None:
    error = {"$ref": "#/components/schemas/Error"}
    for place, call in CALLS.items():
        for status, answer in call["responses"].items():
            if status[0] in "45d":
                schema = answer["content"]["application/json"]["schema"]
                assert error in (schema, *schema.get("anyOf", ())), (place, status)


def test_every_schema_that_is_referred_to_exists() -> None:
    referred = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT)))
    assert referred == set(DOCUMENT["components"]["schemas"])


def attempts() -> Iterator[tuple[str, str, GenerationMode]]:
    """Each call with valid input, and each call that takes a body with invalid input too."""
    for method, path in sorted(set(CALLS) - STREAMING):
        yield method, path, GenerationMode.POSITIVE
        if "requestBody" in CALLS[method, path]:
            yield method, path, GenerationMode.NEGATIVE


@pytest.mark.parametrize(("method", "path", "mode"), list(attempts()))
def test_a_call_answers_as_documented(document: Any, method: str, path: str, mode: GenerationMode) -> None:
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


async def test_the_answers_of_an_existing_run_are_documented_too(stack: Gateway, document: Any) -> None:
    async with httpx2.AsyncClient(base_url=stack.url, timeout=60) as http:
        started = (await http.post("/v1/streams", json={**BODY, "manycast": {"visibility": "private"}})).json()
        await http.get(started["urls"]["events"])
        for name, place in (("status", ""), ("completion", "/completion")):
            answer = await http.get(started["urls"][name])
            assert answer.status_code == 200
            document["/v1/streams/{stream_id}" + place]["GET"].validate_response(answer)
        document["/v1/streams/{stream_id}/cancel"]["POST"].validate_response(await http.post(started["urls"]["cancel"]))
        document["/v1/streams"]["GET"].validate_response(await http.get("/v1/streams"))
