"""The gateway serves the page's own files, and no other file of the project."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from gateway.routes.static_page import FOLDERS
from tests.broker import Broker
from tests.stack import Gateway

WEB = Path(__file__).parents[3] / "web"


@pytest.fixture(scope="module")
def page(workerless_broker: Broker) -> Iterator[Gateway]:
    gateway = Gateway(workerless_broker.url, MANYCAST_WEB_DIR=str(WEB))
    yield gateway
    gateway.close()


def get(page: Gateway, path: str) -> httpx2.Response:
    return httpx2.get(f"{page.url}{path}", timeout=60)


@pytest.mark.parametrize("path", ["/", "/watch", "/runs", "/page.js", "/style.css", "/icon.svg"])
def test_the_pages_files_are_served(page: Gateway, path: str) -> None:
    assert get(page, path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/manycast.js",
        "/manycast.d.ts",
        "/shared.js",
        "/worker-viewer.js",
        "/shared-connection.js",
        "/joint-connection.js",
        "/answer.js",
    ],
)
def test_the_client_that_other_pages_use_has_short_addresses(page: Gateway, path: str) -> None:
    assert get(page, path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/install.py",
            "/.npmrc",
            "/package.json",
            "/package-lock.json",
            "/requirements.txt",
            "/Caddyfile",
            "/Dockerfile",
        ),
        *(
            "/README.md",
            "/node_modules/axe-core/package.json",
            "/pages/index.html",
            "/parts/api.js",
            "/client/manycast.js",
        ),
        *("/../install.py", "/%2e%2e/install.py", "/vendor/../../install.py", "/.git/config", "/pages/../install.py"),
    ],
)
def test_no_other_file_is_served(page: Gateway, path: str) -> None:
    response = get(page, path)
    assert response.status_code == 404
    assert json.loads(response.content)["error"]["code"] == "not_found"


def test_a_browser_gets_a_page_for_an_unknown_address_and_other_clients_an_error(page: Gateway) -> None:
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path in ("/nothing", "/deep/nothing.html"):
        response = httpx2.get(f"{page.url}{path}", headers=accept, timeout=60)
        assert response.status_code == 404
        assert response.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert 'href="/style.css"' in response.text
        assert get(page, path).json()["error"]["code"] == "not_found"
    for method, path in (("POST", "/nothing"), ("GET", "/v1/nothing"), ("GET", "/install.py/../.env")):
        refused = httpx2.request(method, f"{page.url}{path}", headers=accept, timeout=60)
        assert refused.status_code == 404
    assert httpx2.get(f"{page.url}/v1/nothing", headers=accept, timeout=60).json()["error"]["code"] == "not_found"


def test_each_name_stands_for_one_file() -> None:
    names = [file.name for folder in ("pages", "parts", "client") for file in (WEB / folder).iterdir()]
    assert len(names) == len(set(names))


def test_caddys_image_contains_the_same_folders() -> None:
    """It serves everything below /srv."""
    lines = (WEB / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY web/") and line.endswith(" /srv/")]
    assert [set(folders) for folders in copied] == [{f"web/{folder}" for folder in FOLDERS}]
    assert [
        line for line in lines if "/srv" in line and not line.startswith(("COPY web/", "COPY --from=page /srv /srv"))
    ] == ["RUN mv /page/parts/vendor /srv/vendor"]
