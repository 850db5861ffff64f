"""Where Redis is: one server, a Sentinel group, a cluster, or servers as shards. Parses REDIS_URL. Pure: no I/O.

Every server of a topology is described by a URL of the plain kind, which contract/connection.py can open.
"""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

PLAIN_SCHEMES = ("redis", "rediss", "unix")
SENTINEL_PORT = 26379
REDIS_PORT = 6379
_PORTS = range(1, 65536)

_ENCODE = (
    "special characters in a user name or password must be percent-encoded: @ is %40, / is %2F, : is %3A, # is %23, "
    "? is %3F"
)
_SENTINEL_FORM = "redis+sentinel://USER:PASSWORD@HOST:26379,HOST:26379/NAME/DATABASE"
_CLUSTER_FORM = "redis+cluster://USER:PASSWORD@HOST:7000,HOST:7000"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=://)", re.IGNORECASE)
_NEXT_URL = re.compile(r",\s*(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_SENTINEL_USER, _SENTINEL_PASSWORD = "sentinel_username", "sentinel_password"
_CREDENTIALS = re.compile(r"\b((?:rediss?|unix)(?:\+\w+)?://)\S*@", re.IGNORECASE)
_UNENCODED = re.compile(r"(?<![,\s])\s|[\x00-\x08\x0e-\x1b\x7f#]|[/?].*@")
"""What is never behind the `://` of a URL: a space, except between hosts; a control character or a #; an @ after a
slash or a question mark."""
_PASSWORD_OPTION = re.compile(r"(\b(?:sentinel_)?(?:password|username)=)[^&\s]+", re.IGNORECASE)


class MalformedTopologyError(ValueError):
    """What is wrong with a REDIS_URL. The text holds no part of the URL, which may contain a password."""


class Address(NamedTuple):
    """Of a server. An IPv6 address has no brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{_bracket(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class OneServer:
    """A single Redis, perhaps with replicas that Manycast does not use."""

    url: str


@dataclass(frozen=True, slots=True)
class SentinelGroup:
    """A primary that the sentinels name. `node_url` has the user, the database and the options for the primary; its
    host is that of a sentinel, and does not count."""

    sentinel_urls: tuple[str, ...]
    name: str
    node_url: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Redis Cluster. Any of the seeds tells which node has which slots. All nodes have the same user and options."""

    seed_urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shards:
    """Independent servers. The partition of a key selects one of them."""

    urls: tuple[str, ...]


Topology = OneServer | SentinelGroup | Cluster | Shards


def parse_topology(url: str) -> Topology:
    """Raises: MalformedTopologyError."""
    urls = _NEXT_URL.split(url.strip())
    schemes = [_scheme_of(one) for one in urls]
    for one in urls:
        _check_characters(one)
    if len(urls) > 1:
        if any(scheme not in PLAIN_SCHEMES for scheme in schemes):
            raise MalformedTopologyError(
                "several URLs are shards, and each begins with redis://, rediss:// or unix://. "
                "The hosts of a Sentinel group or a cluster belong into one URL"
            )
        shards = [_check_plain(one) for one in urls]
        if len(set(shards)) < len(shards):
            raise MalformedTopologyError("two of the shards are the same database of the same server")
        return Shards(tuple(urls))
    scheme, _, kind = schemes[0].partition("+")
    if kind == "sentinel":
        return _parse_sentinel_group(scheme, url.strip())
    if kind == "cluster":
        return _parse_cluster(scheme, url.strip())
    _check_plain(urls[0])
    return OneServer(urls[0])


def plain_urls(topology: Topology) -> tuple[str, ...]:
    """Every URL in the topology, as `OneServer` has one."""
    match topology:
        case OneServer(url):
            return (url,)
        case SentinelGroup(sentinel_urls, _, node_url):
            return (*sentinel_urls, node_url)
        case Cluster(seed_urls):
            return seed_urls
        case Shards(urls):
            return urls


def may_be_replaced(topology: Topology) -> bool:
    """Whether a replica may take the place of a server."""
    return isinstance(topology, SentinelGroup | Cluster)


def publish_command(topology: Topology) -> str:
    """How scripts publish on the channels of streams. All services of a deployment have the same topology, so they
    agree.

    In a cluster, PUBLISH goes to every node, SPUBLISH only to those with the slot. One server has nothing to spread;
    there, SPUBLISH would only keep services of different versions from hearing each other.
    """
    return "SPUBLISH" if isinstance(topology, Cluster) else "PUBLISH"


def kind_of(topology: Topology) -> Literal["one", "sentinel", "cluster", "shards"]:
    """The form of the topology in one word."""
    match topology:
        case OneServer():
            return "one"
        case SentinelGroup():
            return "sentinel"
        case Cluster():
            return "cluster"
        case Shards():
            return "shards"


def describe(topology: Topology) -> str:
    """The topology for logs and people, without credentials."""
    match topology:
        case OneServer(url):
            return f"one server, {address_text(url)}"
        case SentinelGroup(sentinel_urls, name, _):
            return f"Sentinel group {name}, sentinels {', '.join(map(address_text, sentinel_urls))}"
        case Cluster(seed_urls):
            return f"cluster, found through {', '.join(map(address_text, seed_urls))}"
        case Shards(urls):
            return f"{len(urls)} shards, {', '.join(map(address_text, urls))}"


def address_text(url: str) -> str:
    """Host and port of a plain URL, or the path of its socket."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return str(Address(unquote(parts.hostname or "localhost"), parts.port or REDIS_PORT))


def hide_credentials(text: str) -> str:
    """`text` without the user names and passwords of the URLs of Redis in it, whether or not these are well formed."""
    return _PASSWORD_OPTION.sub(r"\1…", _CREDENTIALS.sub(r"\1", text))


def _scheme_of(url: str) -> str:
    found = _SCHEME.match(url)
    scheme = found[0].lower() if found else ""
    known = (*PLAIN_SCHEMES, "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
    if scheme not in known:
        raise MalformedTopologyError(
            "it must begin with redis://, rediss:// or unix://, with redis+sentinel:// or rediss+sentinel:// for a "
            "Sentinel group, or with redis+cluster:// or rediss+cluster:// for a cluster"
        )
    return scheme


def _check_characters(url: str) -> None:
    """A password that is not encoded may end the part of the URL that hides it: its beginning would be taken for a
    port, and shown as one. Raises: MalformedTopologyError."""
    rest = url.strip().partition("://")[2]
    if _UNENCODED.search(rest):
        found = "it contains a space, a control character, a #, or an @ after a / or a ?."
        raise MalformedTopologyError(f"{found} {_ENCODE}")


def _check_plain(url: str) -> str:
    """What makes a server and its database different from others. Raises: MalformedTopologyError."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise MalformedTopologyError(f"the host is malformed. {_ENCODE}") from None
    if parts.scheme == "unix":
        if not parts.path:
            raise MalformedTopologyError("after unix:// comes the path of a socket")
        return f"{parts.path} {_find_database('', parts.query)}"
    if "," in parts.netloc.rpartition("@")[2]:
        raise MalformedTopologyError(
            f"several hosts need a scheme that says what they are. A Sentinel group: {_SENTINEL_FORM}. "
            f"A cluster: {_CLUSTER_FORM}. Shards: several whole URLs, separated by commas"
        )
    (address,) = _parse_addresses(parts.netloc.rpartition("@")[2] or "localhost", REDIS_PORT)
    return f"{address} {_find_database(parts.path.strip('/'), parts.query)}"


def _find_database(path: str, query: str) -> int:
    """The number of the database: that of the option `db`, else that in the path. Raises: MalformedTopologyError."""
    option = dict(parse_qsl(query)).get("db", "")
    _check_database(path)
    _check_database(option)
    return int(option or path or 0)


def _parse_sentinel_group(scheme: str, url: str) -> SentinelGroup:
    user, hosts, path, query = _split(url)
    addresses = _parse_addresses(hosts, SENTINEL_PORT)
    name, _, database = path.strip("/").partition("/")
    if not name:
        raise MalformedTopologyError(f"the name of the Sentinel group is missing: {_SENTINEL_FORM}")
    number = _find_database(database, query)
    options = parse_qsl(query, keep_blank_values=True)
    given = dict(options)
    own = urlencode([(key, value) for key, value in options if key not in (_SENTINEL_USER, _SENTINEL_PASSWORD)])
    for_sentinels = urlencode([(key, value) for key, value in options if key.startswith("ssl_")])
    sentinel_user = ""
    if given.get(_SENTINEL_PASSWORD):
        sentinel_user = f"{quote(given.get(_SENTINEL_USER, ''), safe='')}:{quote(given[_SENTINEL_PASSWORD], safe='')}@"
    elif given.get(_SENTINEL_USER):
        raise MalformedTopologyError("sentinel_username needs sentinel_password")
    sentinels = tuple(_plain(scheme, sentinel_user, one, for_sentinels) for one in addresses)
    return SentinelGroup(sentinels, unquote(name), _plain(scheme, user, addresses[0], own, number))


def _parse_cluster(scheme: str, url: str) -> Cluster:
    user, hosts, path, query = _split(url)
    addresses = _parse_addresses(hosts, REDIS_PORT)
    if _find_database(path.strip("/"), query):
        raise MalformedTopologyError("a cluster has only database 0: name no database, or 0")
    return Cluster(tuple(_plain(scheme, user, one, query) for one in addresses))


def _split(url: str) -> tuple[str, str, str, str]:
    """The credentials with their @, the hosts, the path and the query. Raises: MalformedTopologyError."""
    rest = url.partition("://")[2]
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    user, at, hosts = authority.rpartition("@")
    if "@" in user:
        raise MalformedTopologyError(f"user name and password come once, before the first host. {_ENCODE}")
    return user + at, hosts, path, query


def _parse_addresses(hosts: str, default_port: int) -> tuple[Address, ...]:
    addresses = tuple(_parse_address(host.strip(), default_port) for host in hosts.split(","))
    if len(set(addresses)) < len(addresses):
        raise MalformedTopologyError("the same host and port are there twice")
    return addresses


def _parse_address(text: str, default_port: int) -> Address:
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.%]+)\]|([^\[\]:]+))(?::([0-9]{1,9}))?", text)
    if found is None:
        raise MalformedTopologyError(f"a host is missing or malformed: expected HOST:PORT. {_ENCODE}")
    port = int(found[3] or default_port)
    if port not in _PORTS:
        raise MalformedTopologyError(f"a port is not between 1 and 65535. {_ENCODE}")
    return Address((found[1] or found[2]).lower(), port)


def _check_database(text: str) -> None:
    if re.fullmatch("[0-9]{0,9}", text) is None:
        raise MalformedTopologyError(f"the database must be a number. {_ENCODE}")


def _plain(scheme: str, user: str, address: Address, query: str, database: int = 0) -> str:
    return f"{scheme}://{user}{address}/{database}" + (f"?{query}" if query else "")


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host
