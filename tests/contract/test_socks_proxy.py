"""Which URLs are reached through a SOCKS proxy, and what is said if that cannot be."""

import subprocess
import sys

import pytest

from contract.socks_proxy import SocksUnavailableError, uses_socks
from tests.stack import ROOT

VARIABLES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def set_only(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"ALL_PROXY": "socks5://127.0.0.1:1080"}, True),
        ({"all_proxy": "socks5h://127.0.0.1:1080"}, True),
        ({"HTTPS_PROXY": "SOCKS5://127.0.0.1:1080"}, True),
        ({"HTTP_PROXY": "socks5://127.0.0.1:1080"}, False),
        ({"ALL_PROXY": "http://127.0.0.1:3128"}, False),
        ({"ALL_PROXY": "socks5://127.0.0.1:1080", "HTTPS_PROXY": "http://127.0.0.1:3128"}, False),
        ({"ALL_PROXY": "socks5://127.0.0.1:1080", "NO_PROXY": "example.com"}, False),
    ],
)
def test_a_socks_proxy_is_found_as_the_libraries_find_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: bool
) -> None:
    set_only(monkeypatch, **variables)
    assert uses_socks("https://api.example.com/v1") is expected


def test_an_unsupported_kind_of_proxy_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    set_only(monkeypatch, ALL_PROXY="socks4://127.0.0.1:1080")
    with pytest.raises(SocksUnavailableError, match="ALL_PROXY names a proxy of the kind socks4; known are socks5"):
        uses_socks("https://api.example.com/v1")


WITHOUT_SOCKSIO = """
import runpy, sys
sys.modules["socksio"] = None
sys.argv = {argv}
runpy.run_module({name!r}, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("argv", "name"),
    [(["worker"], "worker"), (["manycast", "ask", "Why?", "--server", "http://manycast.example.com"], "manycast")],
)
def test_without_the_package_each_program_says_so_in_one_line(argv: list[str], name: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT_SOCKSIO.format(argv=argv, name=name)],
        cwd=ROOT,
        env={"ALL_PROXY": "socks5://127.0.0.1:1", "OPENAI_API_KEY": "sk-1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 1
    assert "ALL_PROXY names a SOCKS proxy, which needs the package socksio: pip install 'socksio==1.*'" in told.stderr
    assert told.stderr.count("\n") == 1, told.stderr
