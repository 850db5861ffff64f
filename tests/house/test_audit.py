"""A vulnerable pin fails the audit unless its advisory is ignored, and so does an audit that checked nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from manycast.local_stack.port import free_port
from tests.house.audit import IGNORED, NOTHING_CHECKED, audit, audit_all, ignored_advisories


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
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    file = tmp_path / "pins.txt"
    file.write_text("orjson==3.13.0\nredis==8.1.0\n")
    return file


def asking(url: str) -> list[str]:
    return ["--vulnerability-service", "osv", "--osv-url", url]


def test_a_vulnerable_pin_is_found(pins: Path) -> None:
    with serving() as url:
        assert audit(str(pins), [], asking(url)) == (
            1,
            ["redis 8.1.0: CVE-2026-1, GHSA-a, fixed in 9.0", "2 packages checked"],
        )


def test_files_may_pin_one_package_differently(pins: Path, tmp_path: Path) -> None:
    apart = tmp_path / "apart.txt"
    apart.write_text("orjson==3.12.0\n")
    with serving() as url:
        status, lines = audit_all([str(apart), str(pins)], [], asking(url))
    assert status == 1
    assert lines == [
        "apart.txt: 1 packages checked",
        "pins.txt: redis 8.1.0: CVE-2026-1, GHSA-a, fixed in 9.0",
        "pins.txt: 2 packages checked",
    ]
    status, lines = audit_all([str(apart), str(pins)], [], asking(f"http://127.0.0.1:{free_port()}/"))
    assert (status, len(lines)) == (NOTHING_CHECKED, 1)


def test_a_clean_pin_passes(pins: Path) -> None:
    pins.write_text("orjson==3.13.0\n")
    with serving() as url:
        assert audit(str(pins), [], asking(url)) == (0, ["1 packages checked"])


@pytest.mark.parametrize("known_as", ["CVE-2026-1", "GHSA-a"])
def test_an_ignored_advisory_passes(pins: Path, known_as: str) -> None:
    with serving() as url:
        assert audit(str(pins), [known_as], asking(url)) == (0, ["2 packages checked"])


def test_an_audit_without_an_answer_fails(pins: Path) -> None:
    status, (line,) = audit(str(pins), [], asking(f"http://127.0.0.1:{free_port()}/"))
    assert status == NOTHING_CHECKED
    assert line.startswith("nothing checked: ")


def test_an_audit_of_nothing_fails(pins: Path) -> None:
    pins.write_text("")
    with serving() as url:
        assert audit(str(pins), [], asking(url)) == (NOTHING_CHECKED, ["no packages checked"])


def test_an_audit_of_a_missing_file_fails(pins: Path) -> None:
    assert audit(str(pins.with_name("missing.txt")), [], [])[0] == NOTHING_CHECKED


def test_every_ignored_advisory_has_a_reason() -> None:
    ignored_advisories(IGNORED.read_text())
    with pytest.raises(ValueError, match="CVE-2026-1 has no reason"):
        ignored_advisories("CVE-2026-1\n")
