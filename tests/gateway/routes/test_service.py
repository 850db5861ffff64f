"""Models, health, and paths that do not exist."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import httpx2
import pytest

from contract.connection import Client
from contract.worker_registry import Model, ProviderState, WorkerOffer, announce
from gateway.app import Gateway as GatewayApp
from gateway.settings import Settings
from tests.author import Author
from tests.broker import Broker
from tests.stack import ROOT, Gateway

WRONG_ADDRESSES = (
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/moderations",
    "/responses",
    "/models",
    "/openai/deployments/gpt/chat/completions",
    "/openai/v1/chat/completions",
    "/v1beta/models/gemini:generateContent",
    "/v1/v1/chat/completions",
    "/v1/files",
)


@pytest.fixture
def serving_page(broker: Broker, tmp_path: Path) -> Iterator[Gateway]:
    (tmp_path / "index.html").write_text("a page")
    gateway = Gateway(broker.url, MANYCAST_WEB_DIR=str(tmp_path))
    yield gateway
    gateway.close()


async def test_a_model_is_found_by_its_name_even_with_a_slash_in_it(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    models = (Model("demo", "us", 1), Model("meta/llama-3", "them", 2))
    await announce(client, "w1", 60_000, WorkerOffer(models, "demo"))
    listed = (await http.get("/v1/models")).json()["data"]
    assert [model["id"] for model in listed] == ["demo", "meta/llama-3"]
    assert (await http.get("/v1/models/meta/llama-3")).json() == listed[1]
    missing = await http.get("/v1/models/gpt-9")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


async def test_metrics_count_the_runs_and_slots_of_all_workers(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    for worker, runs in (("w1", 3), ("w2", 4)):
        await announce(client, worker, 60_000, WorkerOffer((), "demo", runs=runs, slots=50))
    text = (await http.get("/metrics")).text
    for line in ("manycast_workers 2.0", "manycast_worker_runs 7.0", "manycast_worker_slots 100.0"):
        assert line in text.splitlines()


async def test_metrics_leave_the_workers_out_while_redis_is_away(fragile_broker: Broker) -> None:
    gateway = Gateway(fragile_broker.url)
    try:
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            assert "manycast_workers 0.0" in (await http.get("/metrics")).text
            fragile_broker.kill()
            text = (await http.get("/metrics")).text
    finally:
        gateway.close()
    assert "manycast_viewers 0.0" in text
    assert "manycast_worker" not in text


def test_caddy_forwards_every_call_of_the_api() -> None:
    (patterns,) = re.findall(r"@api path (.*)", (ROOT / "web" / "Caddyfile").read_text())
    calls = GatewayApp(Settings()).api.openapi()["paths"]
    assert len(calls) > 10
    calls = [*calls, "/openapi.json", *WRONG_ADDRESSES]
    assert [call for call in calls if not any(fnmatch(call, pattern) for pattern in patterns.split())] == []


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_path_is_answered_as_openai_does(
    http: httpx2.AsyncClient, serving_page: Gateway, method: str
) -> None:
    async with httpx2.AsyncClient(base_url=serving_page.url) as with_page:
        for gateway in (http, with_page):
            response = await gateway.request(method, "/v1/nothing")
            assert response.status_code == 404
            error = {"type": "invalid_request_error", "param": None, "code": "not_found"}
            assert response.json() == {"error": {"message": f"Invalid URL ({method} /v1/nothing)", **error}}
        assert (await with_page.get("/")).text == "a page"


@pytest.mark.parametrize("path", WRONG_ADDRESSES)
async def test_a_wrong_address_is_told_the_right_one(
    http: httpx2.AsyncClient, serving_page: Gateway, path: str
) -> None:
    async with httpx2.AsyncClient(base_url=serving_page.url) as with_page:
        for gateway in (http, with_page):
            response = await gateway.post(path, json={})
            assert response.status_code == 404
            error = response.json()["error"]
            assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "not_found")
            assert re.match(rf"Invalid URL \(POST {path}\)\. This (server|is) .*/v1", error["message"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/streams", "GET, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/v1/models", "GET"),
        ("PATCH", "/v1/session", "DELETE, GET, POST"),
    ],
)
async def test_a_wrong_method_is_told_the_methods_of_the_path(
    http: httpx2.AsyncClient, serving_page: Gateway, method: str, path: str, allowed: str
) -> None:
    async with httpx2.AsyncClient(base_url=serving_page.url) as with_page:
        for gateway in (http, with_page):
            response = await gateway.request(method, path)
            assert (response.status_code, response.headers["allow"]) == (405, allowed)
            message = f"Method Not Allowed ({method} {path}). Allowed: {allowed}."
            error = {"type": "invalid_request_error", "param": None, "code": "method_not_allowed"}
            assert response.json() == {"error": {"message": message, **error}}


async def test_a_file_of_the_page_can_only_be_read(serving_page: Gateway) -> None:
    async with httpx2.AsyncClient(base_url=serving_page.url) as with_page:
        response = await with_page.post("/")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
        assert (await with_page.post("/nothing.html")).status_code == 404


async def test_the_server_tells_its_operator_what_it_runs_on(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    refusing = ProviderState("default", "https://api.example.com/v1", "it refuses the API key (401)")
    await announce(client, "w1", 60_000, WorkerOffer((), "", "", (refusing,)))
    await announce(client, "w2", 60_000, WorkerOffer((Model("m", "us", 1),), "m", "my_module:answer"))
    state = (await http.get("/v1/server")).json()
    assert (state["broker"]["name"], state["broker"]["append_only"]) == ("valkey", True)
    assert sorted(state["workers"], key=lambda worker: int(worker["models"])) == [
        {
            "generator": None,
            "default_model": None,
            "models": 0,
            "providers": [{"name": "default", "url": refusing.url, "problem": refusing.problem}],
        },
        {"generator": "my_module:answer", "default_model": "m", "models": 1, "providers": []},
    ]


async def test_only_callers_are_told_what_the_server_runs_on(broker: Broker) -> None:
    gateway = Gateway(broker.url, MANYCAST_PASSWORD="correct horse battery")
    try:
        async with httpx2.AsyncClient(base_url=gateway.url) as stranger:
            assert (await stranger.get("/v1/server")).status_code == 401
    finally:
        gateway.close()
