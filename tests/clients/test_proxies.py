"""The servers that people put in front of a gateway: streams pass event by event, and a page on this computer may ask.

Each proxy is the real one, set up as its documentation shows, with compression on.
"""

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest

from manycast.local_stack.port import free_port
from tests.author import Run, open_run
from tests.broker import Broker
from tests.clients.snippets import snippets
from tests.packages import install_node_packages
from tests.stack import ROOT, Gateway, Process, closing_all, wait_for_http

HOME = Path(__file__).parent / "proxies"
WORDS = [f"word-{number}." for number in range(10)]
DEADLINE_S = 60.0
DIALECTS = ["native", "openai", "text", "ui"]


@contextlib.contextmanager
def proxy(command: list[str], port: int, directory: Path, **environment: str) -> Iterator[str]:
    """Starts the proxy and waits until it answers; ends it by pid."""
    process = Process("proxy", command, directory, **environment)
    with closing_all(process):
        url = f"http://127.0.0.1:{port}"
        wait_for_http(process, f"{url}/v1/models")
        yield url


@pytest.fixture(scope="module")
def gateway(workerless_broker: Broker) -> Iterator[Gateway]:
    gateway = Gateway(workerless_broker.url)
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def node() -> str:
    return install_node_packages(HOME)


@pytest.fixture(scope="module")
def express(node: str, gateway: Gateway) -> Iterator[str]:
    port = free_port()
    with proxy([node, "express.mjs", gateway.url, str(port)], port, HOME) as url:
        yield url


@pytest.fixture(scope="module")
def vite(node: str, gateway: Gateway) -> Iterator[str]:
    port = free_port()
    with proxy([node, "vite.mjs", gateway.url, str(port)], port, HOME) as url:
        yield url


@pytest.fixture(scope="module")
def next_js(node: str, gateway: Gateway) -> Iterator[str]:
    """`next build` writes the address of the gateway into its routes."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix=".next-", dir=HOME / "next") as build:
        environment = {"GATEWAY_URL": gateway.url, "NEXT_DIST_DIR": Path(build).name, "NEXT_TELEMETRY_DISABLED": "1"}
        command = [node, "../node_modules/next/dist/bin/next"]
        built = subprocess.run(
            [*command, "build"],
            cwd=HOME / "next",
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        assert built.returncode == 0, built.stdout
        arguments = [*command, "start", "--hostname", "127.0.0.1", "--port", str(port)]
        with proxy(arguments, port, HOME / "next", **environment) as url:
            yield url


@pytest.fixture(scope="module")
def nginx(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        pytest.skip("no nginx on this machine")
    port, directory = free_port(), tmp_path_factory.mktemp("nginx")
    configuration = (HOME / "nginx.conf").read_text().replace("PORT", str(port)).replace("GATEWAY_URL", gateway.url)
    (directory / "nginx.conf").write_text(configuration)
    with proxy([binary, "-p", str(directory), "-c", "nginx.conf"], port, directory) as url:
        yield url


SET_UPS = {
    "rewrites:": "next/next.config.mjs",
    "proxy: {": "vite.mjs",
    "createProxyMiddleware": "express.mjs",
    "location / {": "nginx.conf",
}
"""A text of each snippet of docs/use-it-with.md -> the file that these tests run."""
OTHER_FRAME = {'const gateway = "http://127.0.0.1:8000";', "export default {", "};"}
"""How the snippets of configuration files begin and end; the files here are programs."""


def test_no_documented_set_up_is_left_out() -> None:
    under_a_path = ["location /llm/"]  # tests/web/test_path_prefix.py runs it
    for snippet in (*snippets("mjs"), *snippets("nginx")):
        assert any(text in snippet for text in (*SET_UPS, *under_a_path)), snippet


@pytest.mark.parametrize("text", SET_UPS)
def test_the_set_up_that_runs_here_is_the_documented_one(text: str) -> None:
    (snippet,) = [one for one in (*snippets("mjs"), *snippets("nginx")) if text in one]
    running = (HOME / SET_UPS[text]).read_text().replace("GATEWAY_URL;", "http://127.0.0.1:8000;")
    lines = {line.strip() for line in running.splitlines()}
    assert [line for line in snippet.splitlines() if line.strip() not in lines | OTHER_FRAME | {""}] == []


@pytest.fixture(params=["express", "next_js", "nginx", "vite"])
def proxy_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
async def run(workerless_broker: Broker) -> AsyncIterator[Run]:
    async with open_run(workerless_broker.url) as run:
        yield run


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_each_word_arrives_before_the_next_one_is_written(run: Run, proxy_url: str, dialect: str) -> None:
    """The next word is written only after the last one has arrived: a proxy that collects would wait for ever."""
    await run.begin()
    # A Node proxy sends the head together with the first byte of the body, and the text dialect's first byte is a word.
    await run.say(WORDS[0])
    path = f"{proxy_url}/v1/streams/{run.stream_id}/events?dialect={dialect}"
    headers = {"Accept-Encoding": "gzip, deflate, br", "Accept": "text/event-stream"}
    async with (
        asyncio.timeout(DEADLINE_S),
        httpx2.AsyncClient(timeout=DEADLINE_S) as client,
        client.stream("GET", path, headers=headers) as response,
    ):
        assert response.status_code == 200
        assert "no-transform" in response.headers["cache-control"]
        received, pieces = "", response.aiter_text()
        for word, following in pairwise([*WORDS, None]):
            assert word is not None
            while word not in received:
                received += await anext(pieces)
            if following is not None:
                await run.say(following)
        await run.end()
        async for piece in pieces:
            received += piece
    assert [received.count(word) for word in WORDS] == [1] * len(WORDS)


CONFIGURATIONS = ["next/next.config.mjs", "vite.mjs", "express.mjs", "nginx.conf"]


def test_the_documentation_shows_the_configurations_that_these_tests_run() -> None:
    paper = (ROOT / "docs" / "use-it-with.md").read_text()
    section = paper.partition("## Behind your own server")[2].partition("### Under a path")[0]
    shown = re.findall(r"^```(?:mjs|nginx)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert len(shown) == len(CONFIGURATIONS)
    for snippet, name in zip(shown, CONFIGURATIONS, strict=True):
        configuration = (HOME / name).read_text().replace("GATEWAY_URL;", "http://127.0.0.1:8000;")
        run = {line.strip() for line in configuration.splitlines()}
        frame = {'const gateway = "http://127.0.0.1:8000";', "export default {", "};", "},"}
        assert {line.strip() for line in snippet.splitlines()} - frame <= run, name


BODY = {"model": "demo", "messages": [{"role": "user", "content": "Why?"}]}


def browser_headers(host: str) -> dict[str, str]:
    """Headers that a browser sends when a page of this host makes a POST request to its own server."""
    return {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}


async def test_a_page_on_this_computer_starts_runs_through_a_proxy(proxy_url: str) -> None:
    port = httpx2.URL(proxy_url).port
    async with httpx2.AsyncClient(base_url=proxy_url, timeout=DEADLINE_S) as client:
        for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
            started = await client.post("/v1/streams", json=BODY, headers=browser_headers(host))
            assert started.status_code == 201, started.text


async def test_a_foreign_name_or_client_starts_nothing_through_a_proxy(proxy_url: str) -> None:
    """A foreign name that resolves to this computer (DNS rebinding), another page, and a client of another machine."""
    port = httpx2.URL(proxy_url).port
    own = browser_headers(f"localhost:{port}")
    async with httpx2.AsyncClient(base_url=proxy_url, timeout=DEADLINE_S) as client:
        for foreign in (
            browser_headers(f"evil.example:{port}"),
            own | {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"},
            own | {"X-Forwarded-For": "203.0.113.7"},
        ):
            refused = await client.post("/v1/streams", json=BODY, headers=foreign)
            assert refused.status_code == 403, foreign
