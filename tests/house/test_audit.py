"""A vulnerable pin fails the audit, a judged one does not, and who cannot be asked is no reason to fail."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.broker import free_port
from tests.house.audit import JUDGED, audit, judge, judged_advisories

ADVISORY = {"id": "CVE-2026-1", "aliases": ["GHSA-a"], "fix_versions": ["9.0"], "description": "…"}
CLEAN = {"name": "orjson", "version": "3.0", "vulns": []}
FOUND = {"name": "redis", "version": "8.1.0", "vulns": [ADVISORY]}
UNKNOWN = {"name": "redis", "skip_reason": "not found"}


class Advisories(BaseHTTPRequestHandler):
    """A service that knows one advisory, against everything named redis."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
        package = {"name": asked, "ecosystem": "PyPI"}
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.0"}]}]
        known = {"id": "GHSA-a", "aliases": ["CVE-2026-1"], "affected": [{"package": package, "ranges": ranges}]}
        body = json.dumps({"vulns": [known]} if asked == "redis" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is theirs
        pass


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    file = tmp_path / "pins.txt"
    file.write_text("redis==8.1.0\n")
    return file


def asking(url: str) -> list[str]:
    return ["--vulnerability-service", "osv", "--osv-url", url]


def test_a_vulnerable_pin_is_found(pins: Path) -> None:
    with serving() as url:
        status, lines = audit(str(pins), asking(url))
    assert status == 1
    assert lines[0] == "redis 8.1.0: CVE-2026-1, GHSA-a, fixed in 9.0"


def test_a_clean_pin_passes(pins: Path) -> None:
    pins.write_text("orjson==3.13.0\n")
    with serving() as url:
        assert audit(str(pins), asking(url)) == (0, ["1 packages checked, 0 advisories that nobody has judged"])


def test_a_service_that_cannot_be_asked_is_told_and_no_failure(pins: Path) -> None:
    status, (line,) = audit(str(pins), asking(f"http://127.0.0.1:{free_port()}/"))
    assert status == 0
    assert "cannot be reached" in line


def test_an_audit_that_fails_by_itself_is_a_failure(pins: Path) -> None:
    assert audit(str(pins.with_name("missing.txt")), [])[0] == 1


@pytest.mark.parametrize("known_as", ["CVE-2026-1", "GHSA-a"])
def test_a_judged_advisory_passes_with_its_reason(known_as: str) -> None:
    status, lines = judge([CLEAN, FOUND], {known_as: "we never do that"})
    assert status == 0
    assert "(judged: we never do that)" in lines[0]


def test_what_is_judged_and_not_there_any_more_is_told() -> None:
    status, lines = judge([CLEAN], {"CVE-2020-1": "old"})
    assert (status, lines[0]) == (0, f"{JUDGED.name}: nothing pinned has CVE-2020-1 any more")


def test_packages_that_the_service_does_not_know_are_counted() -> None:
    status, lines = judge([CLEAN, UNKNOWN], {})
    assert (status, lines[-1]) == (0, "1 packages checked, 0 advisories that nobody has judged")
    assert "1 packages" in lines[0]


def test_every_judgement_has_a_reason() -> None:
    judged_advisories(JUDGED.read_text())
    with pytest.raises(ValueError, match="CVE-2026-1 has no reason"):
        judged_advisories("CVE-2026-1\n")
