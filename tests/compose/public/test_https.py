"""The stack under a name: HTTPS with certificates of Caddy's own, HTTP/2 without a limit of six."""

import asyncio
import json
import ssl
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.compose.public.conftest import Secrets
from tests.compose.stack import Stack, check_rights, docker
from tests.web.conftest import browser, chromium  # noqa: F401 -- fixtures: found by their names

SLOW = {
    "model": "demo-long",
    "messages": [{"role": "user", "content": "Count the ways"}],
    "simulator": {"chunks": 200, "chunks_per_s": 40, "first_chunk_ms": 100},
}
# Browsers have six connections to a host; a tab that watches takes one of them on HTTP/1.1.
TABS = 12
WATCH_ALL = """([url, tabs]) => Promise.all(Array.from({ length: tabs }, () => new Promise((resolve, reject) => {
  const source = new EventSource(url);
  source.addEventListener("chunk", resolve, { once: true });
  source.addEventListener("error", reject);
}))).then(() => performance.getEntriesByType("navigation")[0].nextHopProtocol)"""


@pytest.fixture(scope="module")
def port(site: Stack) -> int:
    return int(site.published("tls", 8443).rpartition(":")[2])


@pytest.fixture(scope="module")
def authority(site: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the certificates are signed with. It is there once the first was given."""
    (container,) = site.containers("tls")
    file = tmp_path_factory.mktemp("authority") / "root.crt"
    file.write_text(docker("exec", container, "cat", f"/certificates/caddy/pki/authorities/local/{file.name}"))
    return file


@pytest.fixture(scope="module")
def url(port: int) -> str:
    return f"https://localhost:{port}"


@pytest.fixture(scope="module")
def curl(url: str, authority: Path, known: Secrets) -> list[str]:
    """curl, as somebody who has signed in, and who believes in nobody but this authority."""
    jar = str(authority.with_name("cookies"))
    words = ["curl", "--silent", "--show-error", "--no-buffer", "--max-time", "60", "--cacert", str(authority)]
    words += ["--cookie", jar, "--cookie-jar", jar]
    assert json.loads(read([*words, "--json", json.dumps({"secret": known.password}), f"{url}/v1/session"]))[
        "may_start"
    ]
    return words


def read(words: list[str]) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=90).stdout


def begin_stream(curl: list[str], url: str) -> str:
    """Asks, and gives the path of the stream."""
    answer = json.loads(read([*curl, "--json", json.dumps(SLOW), f"{url}/v1/streams"]))
    path: str = answer["urls"]["status"]
    return path


def test_a_host_name_has_a_certificate_and_speaks_http_2(curl: list[str], url: str) -> None:
    told = "%{http_version} %{response_code} %{content_type}\n"
    page = read([*curl, "--output", "/dev/null", "--write-out", told, f"{url}/"])
    assert page.startswith("2 200 text/html")
    assert json.loads(read([*curl, f"{url}/readyz"]))["ready"]


def test_each_event_goes_to_the_viewer_as_it_comes(curl: list[str], url: str) -> None:
    path = begin_stream(curl, url)
    with subprocess.Popen([*curl, f"{url}{path}/events"], stdout=subprocess.PIPE, text=True) as viewer:
        assert viewer.stdout is not None
        while viewer.stdout.readline() != "event: chunk\n":
            assert viewer.poll() is None
        assert json.loads(read([*curl, f"{url}{path}"]))["status"] == "running"
        assert "event: done\n" in viewer.stdout.read()


def test_http_redirects_to_https(site: Stack) -> None:
    where = f"http://localhost:{site.published('tls', 8080).rpartition(':')[2]}/watch?a=b"
    told = "%{response_code} %{redirect_url}"
    assert read(["curl", "--silent", "--write-out", told, where]) == "308 https://localhost/watch?a=b"


@pytest.mark.asyncio(loop_scope="session")
async def test_more_tabs_watch_than_a_browser_has_connections(
    browser: Browser,  # noqa: F811
    curl: list[str],
    url: str,
) -> None:
    path = await asyncio.to_thread(begin_stream, curl, url)
    # The browser's own list of authorities is none of a test's business.
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    await page.goto(f"{url}/watch")
    assert await page.evaluate(WATCH_ALL, [f"{path}/events", TABS]) == "h2"
    await context.close()


def test_the_certificate_outlives_its_container(site: Stack, port: int) -> None:
    before = ssl.get_server_certificate(("localhost", port))
    site.compose("up", "--no-build", "--detach", "--no-deps", "--force-recreate", "--wait", "tls")
    again = int(site.published("tls", 8443).rpartition(":")[2])
    assert ssl.get_server_certificate(("localhost", again)) == before


def test_the_service_has_no_right_that_it_does_not_need(site: Stack) -> None:
    (container,) = site.containers("tls")
    check_rights(container, is_published=True)
