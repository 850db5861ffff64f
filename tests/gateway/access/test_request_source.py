"""What is believed of a request: the connection, what our own proxies add, and nothing that a stranger could send."""

from collections.abc import Sequence

import pytest
from starlette.requests import Request

from gateway.access.request_source import MalformedAddressError, Proxies, RequestSource, is_loopback, read_source

ELSEWHERE = "203.0.113.7"


def source(peer: str = "127.0.0.1", proxies: str = "127.0.0.1", **headers: str) -> RequestSource:
    """Of a request with these headers; an underscore in a name stands for a hyphen."""
    return source_of_lines([(name.replace("_", "-"), value) for name, value in headers.items()], peer, proxies)


def source_of_lines(
    lines: Sequence[tuple[str, str]], peer: str = "127.0.0.1", proxies: str = "127.0.0.1"
) -> RequestSource:
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "server": ("127.0.0.1", 8000),
        "client": (peer, 1),
        "headers": [(name.encode(), value.encode()) for name, value in lines],
    }
    return read_source(Request(scope), Proxies(proxies))


@pytest.mark.parametrize(
    ("peer", "proxies", "forwarded", "address"),
    [
        (ELSEWHERE, "127.0.0.1", "127.0.0.1", ELSEWHERE),
        ("127.0.0.1", "127.0.0.1", ELSEWHERE, ELSEWHERE),
        ("127.0.0.1", "127.0.0.1", f"127.0.0.1, {ELSEWHERE}", ELSEWHERE),
        ("127.0.0.1", "127.0.0.1,10.0.0.0/8", f"198.51.100.1, {ELSEWHERE}, 10.1.2.3", ELSEWHERE),
        ("10.1.2.3", "*", f"127.0.0.1, {ELSEWHERE}", ELSEWHERE),
        ("127.0.0.1", "127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1,10.0.0.1", f"{ELSEWHERE}, nonsense, 10.0.0.1", "10.0.0.1"),
        ("127.0.0.1", "127.0.0.1", f"{ELSEWHERE}:4711", ELSEWHERE),
        ("127.0.0.1", "127.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("127.0.0.1", "127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "", ELSEWHERE, "127.0.0.1"),
        ("::1", "::1", ELSEWHERE, ELSEWHERE),
        ("::ffff:127.0.0.1", "127.0.0.1", ELSEWHERE, ELSEWHERE),
    ],
)
def test_an_address_is_what_the_last_stranger_connected_from(
    peer: str, proxies: str, forwarded: str, address: str
) -> None:
    assert source(peer, proxies, x_forwarded_for=forwarded).address == address


LOCAL_PROXY = {"x_forwarded_for": "127.0.0.1", "x_forwarded_host": "localhost:3000"}


def test_a_client_on_this_computer_is_local() -> None:
    assert source().is_local_peer
    assert source("::1").is_local_peer
    assert not source(ELSEWHERE).is_local_peer
    assert not source("").is_local_peer


@pytest.mark.parametrize(
    "headers",
    [
        LOCAL_PROXY,
        LOCAL_PROXY | {"x_forwarded_proto": "http", "x_forwarded_port": "3000"},
        LOCAL_PROXY | {"x_forwarded_for": "::1"},
        {"x_forwarded_host": "localhost:3000"},
        LOCAL_PROXY | {"x_forwarded_for": "::ffff:127.0.0.1, 127.0.0.1:4711"},
        LOCAL_PROXY | {"x_forwarded_host": "a.localhost, 127.0.0.1"},
    ],
)
def test_a_client_of_a_development_proxy_on_this_computer_is_local(headers: dict[str, str]) -> None:
    assert source(**headers).is_local_peer
    assert not source(ELSEWHERE, **headers).is_local_peer


@pytest.mark.parametrize(
    "headers",
    [{name: "127.0.0.1"} for name in ("x_forwarded_for", "x_forwarded_proto", "forwarded", "x_real_ip", "via")]
    + [
        LOCAL_PROXY | {name: "127.0.0.1"}
        for name in ("forwarded", "via", "x_real_ip", "cf_connecting_ip", "true_client_ip", "fastly_client_ip")
    ]
    + [
        LOCAL_PROXY | {"x_forwarded_for": ELSEWHERE},
        LOCAL_PROXY | {"x_forwarded_for": f"{ELSEWHERE}, 127.0.0.1"},
        LOCAL_PROXY | {"x_forwarded_for": f"127.0.0.1, {ELSEWHERE}"},
        LOCAL_PROXY | {"x_forwarded_for": "127.0.0.1,"},
        LOCAL_PROXY | {"x_forwarded_for": "unknown"},
        LOCAL_PROXY | {"x_forwarded_for": ""},
        LOCAL_PROXY | {"x_forwarded_host": "evil.example:3000"},
        LOCAL_PROXY | {"x_forwarded_host": "localhost, evil.example"},
        LOCAL_PROXY | {"x_forwarded_host": ""},
    ],
)
def test_a_forwarded_request_is_not_local_if_anything_is_foreign_or_unknown(headers: dict[str, str]) -> None:
    assert not source(**headers).is_local_peer


@pytest.mark.parametrize("foreign", [("x-forwarded-for", ELSEWHERE), ("x-forwarded-host", "evil.example")])
def test_each_of_several_forwarding_lines_counts(foreign: tuple[str, str]) -> None:
    local = [(name.replace("_", "-"), value) for name, value in LOCAL_PROXY.items()]
    assert not source_of_lines([*local, foreign]).is_local_peer
    assert not source_of_lines([foreign, *local]).is_local_peer


def test_a_page_behind_a_trusted_proxy_that_replaces_host_is_our_own() -> None:
    headers = {"host": "127.0.0.1:8000", "origin": "http://localhost:3000", "x_forwarded_host": "localhost:3000"}
    assert source(**headers).is_own_page
    assert not source(ELSEWHERE, **headers).is_own_page
    assert not source(**headers | {"origin": "http://evil.example"}).is_own_page


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("a.localhost", True),
        ("127.1.2.3", True),
        ("192.168.1.5:8000", False),
        ("203.0.113.7", False),
        ("[1.2]", False),
        ("evil.example", False),
        ("localhost.evil.example:8000", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_a_name_that_may_have_been_made_to_point_here_is_not_this_machines(host: str, here: bool) -> None:
    assert source(host=host).host_is_local is here


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({}, True),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "http://host:1"}, False),
        ({"origin": "http://host:1"}, True),
        ({"origin": "https://host:1"}, True),
        ({"origin": "http://host:2"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://[::1"}, False),
    ],
)
def test_a_browser_that_acts_for_another_site_is_told_apart(headers: dict[str, str], own: bool) -> None:
    assert source(host="host:1", **headers).is_own_page is own


def test_only_a_listed_proxy_names_a_user_or_the_scheme() -> None:
    said = {"x_forwarded_user": "ada", "x_forwarded_proto": "https"}
    assert (source(**said).user, source(**said).is_secure) == ("ada", True)
    assert (source(ELSEWHERE, **said).user, source(ELSEWHERE, **said).is_secure) == (None, False)
    assert source(x_forwarded_user="").user is None


def test_of_two_lines_the_proxys_own_counts_and_of_two_users_none() -> None:
    two = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", ELSEWHERE)]
    assert source_of_lines(two).address == ELSEWHERE
    assert source_of_lines([("x-forwarded-user", "evil"), ("x-forwarded-user", "ada")]).user is None


def test_addresses_of_one_household_are_counted_together() -> None:
    assert source("2001:db8:1:2:aaaa::1").rate_limit_group == source("2001:db8:1:2:bbbb::9").rate_limit_group
    assert source("2001:db8:1:3::1").rate_limit_group != source("2001:db8:1:2::1").rate_limit_group
    assert source(ELSEWHERE).rate_limit_group == ELSEWHERE


def test_an_entry_that_is_no_address_is_refused() -> None:
    with pytest.raises(MalformedAddressError, match="proxy"):
        Proxies("127.0.0.1, proxy")


def test_a_loopback_address_is_known_in_every_spelling() -> None:
    assert [is_loopback(text) for text in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")] == [True] * 5
    assert [is_loopback(text) for text in ("0.0.0.0", "10.0.0.1", "chat.example.com", "", "::")] == [False] * 5
