"""Every form of REDIS_URL, and every mistake in one: what it means, and what is said of it."""

import string

import pytest

from contract.log_redaction import redact
from contract.redis_server import Place
from contract.settings import check_redis_url
from contract.topology import (
    Cluster,
    MalformedTopologyError,
    OneServer,
    SentinelGroup,
    Shards,
    Topology,
    describe,
    hide_credentials,
    parse_topology,
    plain_urls,
)

PASSWORD = "hunter2"


@pytest.mark.parametrize(
    ("url", "topology"),
    [
        ("redis://h", OneServer("redis://h")),
        ("redis://:a,b@h:1/2", OneServer("redis://:a,b@h:1/2")),
        ("redis://", OneServer("redis://")),
        (
            "rediss://u:p%40@[::1]:6380/0?ssl_cert_reqs=CERT_NONE",
            OneServer("rediss://u:p%40@[::1]:6380/0?ssl_cert_reqs=CERT_NONE"),
        ),
        ("unix:///run/redis.sock?db=1", OneServer("unix:///run/redis.sock?db=1")),
        (
            "redis+sentinel://u:p@a,b:2/mymaster",
            SentinelGroup(("redis://a:26379/0", "redis://b:2/0"), "mymaster", "redis://u:p@a:26379/0"),
        ),
        (
            "rediss+sentinel://:p@a:1/my%20name/3?sentinel_username=s%40&sentinel_password=q%2F&ssl_ca_certs=/ca",
            SentinelGroup(
                ("rediss://s%40:q%2F@a:1/0?ssl_ca_certs=%2Fca",), "my name", "rediss://:p@a:1/3?ssl_ca_certs=%2Fca"
            ),
        ),
        ("redis+cluster://h1:7000,h2:7001", Cluster(("redis://h1:7000/0", "redis://h2:7001/0"))),
        ("rediss+cluster://u:p@h/0?ssl_cert_reqs=none", Cluster(("rediss://u:p@h:6379/0?ssl_cert_reqs=none",))),
        ("redis+cluster://[::1]:7000", Cluster(("redis://[::1]:7000/0",))),
        ("redis://a,redis://b:1/0", Shards(("redis://a", "redis://b:1/0"))),
        ("redis://a/0, rediss://a/1,unix:///x", Shards(("redis://a/0", "rediss://a/1", "unix:///x"))),
    ],
)
def test_an_address_says_where_redis_is(url: str, topology: Topology) -> None:
    assert parse_topology(url) == topology
    assert check_redis_url(url) == url


MISTAKES = [
    (f"{PASSWORD}://h", "must begin with"),
    (f"sentinel://:{PASSWORD}@h/mymaster", "redis\\+sentinel://"),
    (f":{PASSWORD}@h:6379", "must begin with"),
    (f"redis://:{PASSWORD}/@h:1", "percent-encoded"),
    (f"redis://:{PASSWORD}@h:port", "percent-encoded"),
    (f"redis://:{PASSWORD}@h:0", "port"),
    (f"redis://:{PASSWORD}@h/{PASSWORD}", "number"),
    (f"redis://:{PASSWORD}@h1,h2", "Shards"),
    (f"unix://?password={PASSWORD}", "path"),
    (f"redis+sentinel://:{PASSWORD}@h:26379", "name of the Sentinel group is missing"),
    (f"redis+sentinel://:{PASSWORD}@h:26379/?sentinel_password={PASSWORD}", "name of the Sentinel group is missing"),
    (f"redis+sentinel://:{PASSWORD}@h:26379/mymaster/{PASSWORD}", "number"),
    (f"redis+sentinel://:{PASSWORD}@h,,i/mymaster", "host"),
    (f"redis+sentinel://:{PASSWORD}@h,h:26379/mymaster", "twice"),
    (f"redis+sentinel://:{PASSWORD}@h:99999/mymaster", "port"),
    (f"redis+sentinel://:{PASSWORD}@h,:{PASSWORD}@i/mymaster", "once"),
    (f"redis+sentinel://:x/{PASSWORD}@h/mymaster", "percent-encoded"),
    (f"redis+sentinel://h/mymaster?sentinel_username={PASSWORD}", "needs sentinel_password"),
    (f"redis+cluster://:{PASSWORD}@h:7000/1", "database"),
    (f"redis+cluster://:{PASSWORD}@h:7000?db=2", "database"),
    (f"redis+cluster://:{PASSWORD}@", "host"),
    (f"redis://h?db={PASSWORD}", "number"),
    (f"redis+sentinel://h/name?db={PASSWORD}", "number"),
    ("redis://h/" + 5000 * "1", "number"),
    ("redis://h:" + 5000 * "1", "HOST:PORT"),
    ("redis://h,redis://H:6379/0", "same database"),
    (f"redis+cluster://:{PASSWORD}@h:1,h:1", "twice"),
    (f"redis+cluster://:{PASSWORD}@h?ssl_no_such={PASSWORD}", "option"),
    (f"redis://:{PASSWORD}@h,redis://h", "same database"),
    (f"redis://h/0,redis://:{PASSWORD}@h:6379", "same database"),
    (f"redis://h,redis+cluster://:{PASSWORD}@h", "several URLs are shards"),
    (f"redis://h,rediss://i?ssl_cert_reqs={PASSWORD}", "option"),
]


FORMS = [
    "redis://:{}@h:6379/0",
    "rediss://u:{}@h",
    "redis://{}@h",
    "redis+sentinel://u:{}@h:1,i:2/name/0",
    "redis+cluster://u:{}@h:1,i:2",
    "redis+sentinel://h/name?sentinel_password={}",
    "redis://h?password={}",
    "unix://u:{}@/x",
    "redis://a,redis://u:{}@b",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("parts", [("1234", "56789"), ("hunter", "secret")])
def test_no_part_of_a_password_that_is_not_encoded_is_shown(form: str, parts: tuple[str, str]) -> None:
    """Its beginning looks like a port, or like a host."""
    told = []
    for between in [*string.punctuation, *string.whitespace, "\0", "://", ":6379/", "@x:1/", "/0?", "é", "%4", "[::1]"]:
        url = form.format(between.join(parts))
        try:
            topology = parse_topology(check_redis_url(url))
        except ValueError as error:
            told.append(str(error))
        else:
            places = [str(Place(one)) for one in plain_urls(topology)]
            told += [describe(topology), *places, redact(f"cannot use {url}")] if "password=" not in url else places
    assert len(told) > len(string.punctuation)
    assert not [text for text in told if any(part in text for part in parts)]


@pytest.mark.parametrize(("url", "reason"), MISTAKES)
def test_every_mistake_is_named_and_no_password_is_shown(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        check_redis_url(url)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None or PASSWORD not in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@h",
        f"rediss://user:x/{PASSWORD}@h:1/0",
        f"unix:///x?password={PASSWORD}",
        f"redis+sentinel://u:{PASSWORD}@a,b/m?sentinel_username=s&sentinel_password={PASSWORD}",
        f"rediss+cluster://u:{PASSWORD}@a:1,:{PASSWORD}@b",
        f"redis://:{PASSWORD}@a,redis://:{PASSWORD}@b",
    ],
)
def test_a_log_line_with_an_address_shows_no_password(url: str) -> None:
    shown = redact(f"cannot use {url} today")
    assert shown.startswith("cannot use ") and shown.endswith(" today")
    assert PASSWORD not in shown


def test_a_description_has_the_servers_and_no_credentials() -> None:
    for url, text in {
        f"redis://u:{PASSWORD}@h/1": "one server, h:6379",
        f"unix:///run/redis.sock?password={PASSWORD}": "one server, /run/redis.sock",
        f"redis+sentinel://u:{PASSWORD}@a,b/m?sentinel_password=x": "Sentinel group m, sentinels a:26379, b:26379",
        f"redis+cluster://u:{PASSWORD}@a:7000,[::1]:7001": "cluster, found through a:7000, [::1]:7001",
        f"redis://:{PASSWORD}@a,redis://b": "2 shards, a:6379, b:6379",
    }.items():
        assert describe(parse_topology(url)) == text
        assert PASSWORD not in hide_credentials(url)
        assert all("," not in one for one in plain_urls(parse_topology(url)))


def test_a_malformed_topology_is_an_error_of_its_own() -> None:
    with pytest.raises(MalformedTopologyError):
        parse_topology("redis+cluster://")
