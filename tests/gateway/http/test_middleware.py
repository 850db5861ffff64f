"""What is true of every answer of a gateway, whichever route gives it."""

import asyncio
import re
from collections.abc import Iterator
from functools import cache

import httpx2
import pytest

from contract.event import Status
from gateway.access.api_keys import make_key
from gateway.app import Gateway as GatewayApp
from gateway.http.middleware import DEFAULT_HEADERS, MalformedOriginError, parse_origins
from gateway.settings import Settings
from tests.author import Author
from tests.broker import Broker
from tests.gateway.dialects.test_registry import BODY, start
from tests.gateway.fanout.recording import attempt, chunk_of, done
from tests.gateway.server.raw_line import RawLine
from tests.stack import Gateway, closing_all

pytestmark = pytest.mark.usefixtures("emptied")

OURS = "https://app.example.com"
STREAM = "s_" + "x" * 22
RETENTION_S = 86_400
SECRET, KEY = make_key("script")
PROTOCOLS = ["direct", "httptools", "h11"]


@pytest.fixture(scope="module", params=PROTOCOLS)
def open_gateway(
    request: pytest.FixtureRequest, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """It serves a page, and allows scripts of two other origins."""
    page = tmp_path_factory.mktemp("page")
    (page / "index.html").write_text("a page")
    (page / "inner").mkdir()
    (page / "inner" / "index.html").write_text("another")
    gateway = Gateway(
        broker.url,
        MANYCAST_HTTP_PROTOCOL=request.param,
        MANYCAST_CORS_ORIGINS=f"{OURS}, http://localhost:5173",
        MANYCAST_WEB_DIR=str(page),
        MANYCAST_LIST_RUNS="1",
    )
    with closing_all(gateway):
        yield gateway
        assert "Traceback" not in gateway.output


@cache
def routes() -> list[tuple[str, set[str]]]:
    """Each path, with values for its parameters, and its documented methods."""
    paths = GatewayApp(Settings()).api.openapi()["paths"]
    named = [(path, {method.upper() for method in calls}) for path, calls in paths.items()]
    gap = re.compile(r"\{(\w+)[^}]*\}")
    filled = [(gap.sub(lambda name: STREAM if name[1] == "stream_id" else "x", path), calls) for path, calls in named]
    return [*filled, ("/metrics", {"GET"}), ("/openapi.json", {"GET"})]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"])
async def test_every_route_answers_every_method_in_order(
    http: httpx2.AsyncClient, open_gateway: Gateway, method: str
) -> None:
    async with httpx2.AsyncClient(base_url=open_gateway.url, timeout=60) as with_page:
        for client in (http, with_page):
            for path, methods in routes():
                answer = await client.request(method, path)
                assert answer.status_code < 500 or path == "/readyz", path
                if method in methods:
                    assert answer.status_code != 405, path
                elif method == "HEAD" and answer.status_code != 405:
                    assert answer.content == b""
                    assert answer.status_code == (await client.get(path)).status_code
                else:
                    assert answer.status_code == 405, path
                    assert set(answer.headers["allow"].split(", ")) <= methods | {"HEAD"}, path
                for name in DEFAULT_HEADERS:
                    assert name in answer.headers, path


async def test_a_head_request_for_a_stream_ends_and_watches_nothing(open_gateway: Gateway, author: Author) -> None:
    async with httpx2.AsyncClient(base_url=open_gateway.url, timeout=60) as http:
        run = await start(http, author)
        with RawLine(open_gateway) as line:
            line.send(f"HEAD /v1/streams/{run.stream_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            line.read_until(b"\r\n\r\n")
            assert line.status == 200
            assert b"content-type: text/event-stream" in line.received.lower()
            line.received = b""
            line.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            line.read_to_end()
            assert line.status == 200
        assert "manycast_viewers 0.0" in (await http.get("/metrics")).text


async def test_only_routes_that_say_so_may_be_cached(http: httpx2.AsyncClient, author: Author) -> None:
    run = await start(http, author)
    assert (await http.get(f"/v1/streams/{run.stream_id}")).headers["cache-control"] == "no-store"
    await run.write([*attempt([chunk_of({"content": "all"})]), done()], Status.COMPLETED)
    completion = await http.get(f"/v1/streams/{run.stream_id}/completion")
    assert 0 < lifetime_s(completion) <= RETENTION_S
    again = await http.get(
        f"/v1/streams/{run.stream_id}/completion", headers={"If-None-Match": completion.headers["etag"]}
    )
    assert again.status_code == 304
    assert lifetime_s(again) <= lifetime_s(completion)
    assert again.headers["x-content-type-options"] == "nosniff"


def lifetime_s(response: httpx2.Response) -> int:
    """The `max-age` of a response that only the client's own cache may keep."""
    match = re.fullmatch("private, max-age=([0-9]+), immutable", response.headers["cache-control"])
    assert match
    return int(match[1])


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/..",
        "//evil.example/v1/models/",
        "/v1/models/../",
        "/v1/streams/",
        "/healthz/",
        "/inner",
        "/%2f%2fevil.example",
    ],
)
async def test_no_path_is_redirected(open_gateway: Gateway, path: str) -> None:
    with RawLine(open_gateway) as line:
        head = (
            f"GET {path} HTTP/1.1\r\nHost: here.example\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n"
        )
        line.send(head.encode())
        line.read_to_end()
        assert line.status in (403, 404)
        assert b"\r\nlocation:" not in line.received.lower()


@pytest.mark.parametrize("host", ["[", "a b", "x/../y", "x@y", "x\r\nHost: y", "\x80", "[::1]x"])
@pytest.mark.parametrize("path", ["/v1/models", "/nothing", "/inner", "/v1/streams"])
def test_an_invalid_host_is_refused(open_gateway: Gateway, host: str, path: str) -> None:
    with RawLine(open_gateway) as line:
        line.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        line.read_to_end()
        assert line.status == 400


@pytest.mark.parametrize("origin", ["http://[", "null", "", "nonsense", "http://localhost:x"])
async def test_an_invalid_origin_is_not_a_server_error(http: httpx2.AsyncClient, origin: str) -> None:
    answer = await http.post("/v1/streams", json=BODY, headers={"Origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site")


# Scripts of other origins


@pytest.fixture(scope="module", params=PROTOCOLS)
def keyed_gateway(request: pytest.FixtureRequest, broker: Broker) -> Iterator[Gateway]:
    """It accepts an API key, and scripts of another origin."""
    settings = {"MANYCAST_CORS_ORIGINS": OURS, "MANYCAST_KEYS": KEY.model_dump_json()}
    gateway = Gateway(broker.url, MANYCAST_HTTP_PROTOCOL=request.param, **settings)
    yield gateway
    gateway.close()


async def test_a_script_of_an_allowed_origin_may_start_watch_and_read_runs(
    keyed_gateway: Gateway, author: Author
) -> None:
    asked = {
        "Origin": OURS,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
    }
    async with httpx2.AsyncClient(base_url=keyed_gateway.url, timeout=60) as http:
        for path in ("/v1/chat/completions", "/v1/streams", "/api/chat"):
            preflight = await http.options(path, headers=asked)
            assert preflight.status_code == 200
            assert preflight.headers["access-control-allow-origin"] == OURS
            assert preflight.headers["access-control-allow-headers"] == asked["Access-Control-Request-Headers"]
            assert set(preflight.headers["access-control-allow-methods"].split(", ")) == {"GET", "POST", "DELETE"}
            assert "origin" in preflight.headers["vary"].lower()
        asked = {"Origin": OURS, "Sec-Fetch-Site": "cross-site", "Authorization": f"Bearer {SECRET}"}
        starting = asyncio.create_task(http.post("/v1/chat/completions", json=BODY, headers=asked))
        run = await author.take()
        await run.write([*attempt([chunk_of({"content": "all"})]), done()], Status.COMPLETED)
        events = await http.get(f"/v1/streams/{run.stream_id}/events", headers={"Origin": OURS})
        for answer in (await starting, events, await http.get("/v1/streams/x", headers={"Origin": OURS})):
            assert answer.headers["access-control-allow-origin"] == OURS
            assert answer.headers.get_list("vary") == ["Origin"]
            assert "access-control-allow-credentials" not in answer.headers
            shown = answer.headers["access-control-expose-headers"].lower()
            for name in ("x-stream-id", "x-stream-ticket", "link", "retry-after", "x-ratelimit-limit-requests"):
                assert name in shown
        assert b"event: done" in events.content


@pytest.mark.parametrize(
    "path",
    ["/chat/completions", "/responses", "/api/v1/chat/completions", "/openai/deployments/x/chat/completions", "/files"],
)
async def test_a_script_of_an_allowed_origin_can_read_what_is_wrong_with_its_address(
    open_gateway: Gateway, path: str
) -> None:
    asked = {"Origin": OURS, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with httpx2.AsyncClient(base_url=open_gateway.url, timeout=60) as http:
        assert (await http.options(path, headers=asked)).status_code == 200
        answer = await http.post(path, json=BODY, headers={"Origin": OURS})
        assert answer.status_code in (404, 405)
        assert answer.headers["access-control-allow-origin"] == OURS
        foreign = await http.post(path, json=BODY, headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in foreign.headers
        for other in ("/metrics", "/nothing", "/index"):
            assert "access-control-allow-origin" not in (await http.get(other, headers={"Origin": OURS})).headers


async def test_a_script_of_an_allowed_origin_needs_an_api_key(keyed_gateway: Gateway) -> None:
    async with httpx2.AsyncClient(base_url=keyed_gateway.url, timeout=60) as http:
        assert (await http.post("/v1/session", json={"secret": SECRET})).status_code == 200
        for site in ("cross-site", "same-site"):
            refused = await http.post("/v1/streams", json=BODY, headers={"Origin": OURS, "Sec-Fetch-Site": site})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site")


async def test_a_script_of_any_other_origin_gets_no_cors_headers(open_gateway: Gateway) -> None:
    async with httpx2.AsyncClient(base_url=open_gateway.url, timeout=60) as http:
        for origin in ("https://evil.example", "https://app.example.com.evil.example", "null", "http://localhost:5174"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            assert (await http.options("/v1/streams", headers=asked)).status_code == 400
            answer = await http.get("/v1/models", headers={"Origin": origin})
            assert "access-control-allow-origin" not in answer.headers
            started = await http.post("/v1/streams", json=BODY, headers={"Origin": origin})
            assert started.status_code == 403
        # An answer cached for one origin must not be used for another.
        assert (await http.get("/v1/models")).headers["vary"] == "Origin"
        assert "vary" not in (await http.get("/", headers={"Origin": OURS})).headers


async def test_without_allowed_origins_there_are_no_cors_headers(http: httpx2.AsyncClient) -> None:
    asked = {"Origin": OURS, "Access-Control-Request-Method": "POST"}
    assert (await http.options("/v1/streams", headers=asked)).status_code == 403
    answer = await http.get("/v1/models", headers={"Origin": OURS})
    assert not [name for name in answer.headers if name.startswith("access-control-") or name == "vary"]


@pytest.mark.parametrize(
    "text", ["*", "null", "app.example.com", f"{OURS}/", f"{OURS}/path", f"{OURS} https://x", "HTTPS://x"]
)
def test_what_no_browser_sends_is_not_an_origin(text: str) -> None:
    assert parse_origins(f" {OURS} ,http://[::1]:80,") == (OURS, "http://[::1]:80")
    with pytest.raises(MalformedOriginError):
        parse_origins(text)
