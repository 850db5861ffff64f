"""The stack of docker-compose.yml as users run it: three gateways behind Caddy, and one of them goes."""

import asyncio
import json
import time

import httpx2
import pytest

from gateway.access.request_source import is_loopback
from tests.compose.conftest import GATEWAYS, WORKERS
from tests.compose.stack import Stack, check_rights, docker, inspected
from tests.compose.viewer import Viewer

VIEWERS = 30
REFUSED = 800
"""As many as it takes to see a fault that hits one in two hundred."""
INSTALLERS = """import shutil, subprocess, sys
pythons, names = (sys.executable, sys._base_executable), ("pip", "ensurepip")
asked = [(python, "-m", name, "--version") for python in pythons for name in names]
print([one for one in asked if subprocess.run(one, capture_output=True).returncode == 0 or shutil.which("pip")])"""
ADDED_LIMIT_BYTES = 80_000_000
"""By an image of ours to that of Python, which most machines have already."""
# Some six seconds: long enough that a gateway goes in the middle of it.
QUESTION = {
    "model": "demo-long",
    "messages": [{"role": "user", "content": "Count the ways"}],
    "simulator": {"chunks": 300, "chunks_per_s": 50, "first_chunk_ms": 100},
}


async def begin_stream(web: httpx2.AsyncClient) -> str:
    """Asks, and gives the path of the events."""
    response = await web.post("/v1/streams", json=QUESTION)
    assert response.status_code == 201, response.text
    path: str = response.json()["urls"]["events"]
    return path


async def test_a_request_through_another_proxy_is_not_local(web: httpx2.AsyncClient) -> None:
    foreign = [
        {name: "203.0.113.7"}
        for name in (
            *("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "Via"),
            *("True-Client-IP", "Fastly-Client-IP"),
        )
    ]
    foreign += [
        {"X-Forwarded-Host": name} for name in ("evil.example", "localhost.evil.example", "localhost, evil.example")
    ]
    foreign += [{"X-Forwarded-For": "127.0.0.1, 203.0.113.7"}, {"X-Forwarded-For": "127.0.0.1.evil.example"}]
    for headers in foreign:
        refused = await web.post("/v1/streams", json=QUESTION, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_this_machine"), headers
    two_lines = [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", "203.0.113.7")]
    assert (await web.post("/v1/streams", json=QUESTION, headers=two_lines)).status_code == 403


async def test_a_development_proxy_on_this_machine_reaches_the_stack(web: httpx2.AsyncClient) -> None:
    for headers in (
        {"X-Forwarded-Host": "localhost:3000"},
        {"X-Forwarded-For": "127.0.0.1, ::1", "X-Forwarded-Host": "[::1]"},
    ):
        started = await web.post("/v1/streams", json=QUESTION, headers=headers)
        assert started.status_code == 201, started.text


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
async def test_thirty_viewers_see_the_same_while_a_gateway_goes(
    stack: Stack, web: httpx2.AsyncClient, signal: str
) -> None:
    gone = stack.containers("gateway")[0]
    path = await begin_stream(web)
    viewers = [Viewer() for _ in range(VIEWERS)]
    async with asyncio.TaskGroup() as watching:
        for viewer in viewers:
            watching.create_task(viewer.watch(web, path))
        async with asyncio.timeout(60):
            await asyncio.gather(*(viewer.under_way.wait() for viewer in viewers))
        await asyncio.to_thread(docker, "kill", "--signal", signal, gone)
        await asyncio.to_thread(docker, "wait", gone)

    whole = viewers[0].events
    assert [viewer.events for viewer in viewers] == [whole] * VIEWERS
    assert [event for _, event, _ in whole] == ["start"] + ["chunk"] * (len(whole) - 2) + ["done"]
    assert [position for position, _, _ in whole] == [f"1-{seq}" for seq in range(1, len(whole) + 1)]
    assert json.loads(whole[-1][2])["status"] == "completed"
    assert len(whole) > 300
    assert any(viewer.connections > 1 for viewer in viewers), "nobody watched at the gateway that went"
    assert any(viewer.connections == 1 for viewer in viewers), "everybody watched at the gateway that went"
    await asyncio.to_thread(stack.up, GATEWAYS, WORKERS)


async def test_the_page_comes_with_a_policy_and_its_files(web: httpx2.AsyncClient) -> None:
    for path in ("/", "/watch"):
        page = await web.get(path)
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
    assert (await web.get("/vendor/markdown-it.js")).status_code == 200
    for hidden in ("/Dockerfile", "/Caddyfile", "/install.py", "/package.json", "/metrics"):
        assert (await web.get(hidden)).status_code == 404


async def test_a_browser_gets_a_page_for_an_unknown_address_and_other_clients_get_none(web: httpx2.AsyncClient) -> None:
    page = await web.get("/nothing/here", headers={"accept": "text/html,*/*"})
    assert page.status_code == 404
    assert "Page not found" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "server" not in page.headers
    other = await web.get("/nothing/here")
    assert (other.status_code, other.text) == (404, "")


async def test_it_is_ready_and_names_the_models(web: httpx2.AsyncClient) -> None:
    ready = (await web.get("/readyz")).json()
    assert (ready["ready"], ready["workers"]) == (True, WORKERS)
    models = (await web.get("/v1/models")).json()["data"]
    assert "demo" in [model["id"] for model in models]


async def test_what_is_refused_at_once_is_told_whole_each_time(web: httpx2.AsyncClient) -> None:
    for _ in range(REFUSED // 50):
        answers = await asyncio.gather(*(web.post("/v1/streams", content=b"{") for _ in range(50)))
        assert {answer.json()["error"]["type"] for answer in answers} == {"invalid_request_error"}


async def test_an_answer_needs_no_model_name(web: httpx2.AsyncClient) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}], "simulator": {"chunks_per_s": 0}}
    path = (await web.post("/v1/streams", json=body)).json()["urls"]["events"]
    viewer = Viewer()
    await viewer.watch(web, path)
    assert json.loads(viewer.events[-1][2])["status"] == "completed"


@pytest.mark.parametrize("service", ["redis", "simulator", "worker", "gateway", "web"])
def test_a_container_has_no_right_it_does_not_need(stack: Stack, service: str) -> None:
    check_rights(stack.containers(service)[0], is_published=service == "web")


PROVIDERS = {
    "nothing is given": ({}, {"OPENAI_BASE_URL=http://simulator:8100/v1", "MANYCAST_DEFAULT_MODEL=demo"}),
    "a key is given": ({"OPENAI_API_KEY": "sk-test"}, {"OPENAI_API_KEY=sk-test"}),
    "an address is given": ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, {"OPENAI_BASE_URL=http://127.0.0.1:1/v1"}),
}


@pytest.mark.parametrize("given", PROVIDERS)
def test_the_worker_asks_the_right_provider_where(stack: Stack, given: str) -> None:
    environment, expected = PROVIDERS[given]
    options = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    # Where Redis is not, so that it takes no job of another test.
    away = ["--env", "REDIS_URL=redis://127.0.0.1:1/0", "--env", "REDIS_URL_FILE="]
    worker = stack.compose("run", "--detach", "--no-deps", *options, *away, "worker").strip()
    try:
        deadline = time.monotonic() + 20
        while not docker("exec", worker, "cat", "/proc/1/cmdline").startswith("python"):
            assert time.monotonic() < deadline
        found = set(docker("exec", worker, "cat", "/proc/1/environ").split("\0"))
    finally:
        docker("rm", "--force", worker)
    assert expected <= found
    assert "http://simulator:8100/v1" not in " ".join(found) or not environment


def test_without_a_name_only_loopback_reaches_the_published_port(stack: Stack) -> None:
    assert stack.address().startswith("http://127.0.0.1:")
    assert stack.containers("tls") == []


@pytest.mark.parametrize(
    ("settings", "is_here"),
    [
        ({}, True),
        ({"MANYCAST_BIND": "[::1]"}, True),
        ({"MANYCAST_BIND": "0.0.0.0"}, False),
        ({"SITE_ADDRESS": "localhost"}, False),
        ({"MANYCAST_TRUSTED_PROXIES": "127.0.0.1"}, False),
    ],
)
def test_only_what_is_published_on_loopback_alone_is_for_this_machine(
    stack: Stack, settings: dict[str, str], is_here: bool
) -> None:
    told = json.loads(stack.set_up(**settings).compose("config", "--format", "json"))
    assert is_loopback(told["services"]["gateway"]["environment"]["MANYCAST_PUBLISHED_ON"]) is is_here


@pytest.mark.parametrize(("service", "foreign"), [("gateway", "openai"), ("gateway", "worker"), ("worker", "fastapi")])
def test_an_image_carries_only_what_its_service_needs(stack: Stack, service: str, foreign: str) -> None:
    probe = f"import importlib.util; print(importlib.util.find_spec({foreign!r}))"
    assert docker("exec", stack.containers(service)[0], "python", "-c", probe).strip() == "None"


def test_the_worker_speaks_socks(stack: Stack) -> None:
    assert docker("exec", stack.containers("worker")[0], "python", "-c", "import socksio") == ""


@pytest.mark.parametrize("service", ["gateway", "worker", "simulator"])
def test_an_image_installs_nothing_and_adds_little(stack: Stack, service: str) -> None:
    container = stack.containers(service)[0]
    assert docker("exec", container, "python", "-c", INSTALLERS).strip() == "[]"
    image, base = (inspected(name)["Size"] for name in (inspected(container)["Image"], "python:3.13-slim"))
    assert image - base < ADDED_LIMIT_BYTES


def test_every_service_ends_with_status_0_when_told_to(stack: Stack) -> None:
    """The last one here: the stack stays stopped."""
    containers = stack.compose("ps", "--quiet").split()
    stack.compose("stop")
    ends = {facts["Name"]: facts["State"]["ExitCode"] for facts in map(inspected, containers)}
    assert ends == dict.fromkeys(ends, 0)
