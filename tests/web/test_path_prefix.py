"""The pages under a path of another server: `/llm/` behind nginx."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.async_api import Page

from manycast.client import Client, watch
from manycast.client.event import Done
from manycast.local_stack.port import free_port
from tests.broker import Broker
from tests.clients.snippets import snippet_with
from tests.stack import Gateway, Process, Simulator, Worker, closing_all, wait_for_http
from tests.web.conftest import WEB
from tests.web.page_on_stack import ask, truth, whole
from tests.web.visit import visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("packages")]

# LOCATION is the block that docs/use-it-with.md shows.
CONFIGURATION = """
daemon off;
error_log stderr warn;
pid nginx.pid;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:PORT;
LOCATION
  }
}
"""


@pytest.fixture(scope="module")
def address(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        pytest.skip("no nginx on this machine")
    simulator = Simulator()
    gateway, worker = Gateway(broker.url, MANYCAST_WEB_DIR=str(WEB)), Worker(broker.url, simulator.url)
    port, directory = free_port(), tmp_path_factory.mktemp("nginx")
    location = snippet_with("nginx", "location /llm/").replace("http://127.0.0.1:8000", gateway.url)
    configuration = CONFIGURATION.replace("PORT", str(port)).replace("LOCATION", location)
    (directory / "nginx.conf").write_text(configuration)
    nginx = Process("nginx", [binary, "-p", str(directory), "-c", "nginx.conf"], directory)
    with closing_all(nginx, worker, gateway, simulator):
        url = f"http://127.0.0.1:{port}/llm"
        wait_for_http(nginx, f"{url}/healthz")
        yield url


async def test_a_person_asks_and_another_watches(page: Page, other: Page, address: str) -> None:
    requests: list[str] = []
    for each in (page, other):
        each.on("request", lambda request: requests.append(request.url))
    stream = await ask(page, f"{address}/", "Where does this page live?")
    await visit(other, f"{address}/watch#{stream}")
    text = await whole(page)
    assert text == await whole(other) == await truth(other, address, stream)
    assert [url for url in requests if not url.startswith((f"{address}/", "data:", "blob:"))] == []


async def test_the_python_client_submits_watches_and_stops(address: str) -> None:
    async with Client(address) as client:
        stream = await client.submit({"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}, private=True)
        assert stream.page_url.startswith(f"{address}/watch#")
        await client.cancel(stream)
    events = [event async for event in watch(stream.page_url)]
    assert isinstance(events[-1], Done)
    assert events[-1].status == "cancelled"
