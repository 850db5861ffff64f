"""Where a request comes from, by its connection and headers. Forwarding headers count only from trusted proxies.

No I/O.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Interface, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FOREIGN_PROXY_HEADERS = frozenset({"forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip", "fastly-client-ip"})
"""Headers that other proxies add and our own Caddy does not. Caddy passes them on from a proxy in front of it."""
DEVELOPMENT_PROXY_HEADERS = frozenset(f"x-forwarded-{name}" for name in ("for", "host", "proto", "port", "prefix"))
"""Headers that the proxy of a development server adds, such as a rewrite of Next.js."""
FORWARDING_HEADERS = frozenset({*FOREIGN_PROXY_HEADERS, *DEVELOPMENT_PROXY_HEADERS, "via"})
_PROXY_HEADERS = frozenset(name.encode() for name in {*FORWARDING_HEADERS, "x-forwarded-user"})
_BROWSER_HEADERS = frozenset({b"origin", b"sec-fetch-site"})
ANYONE = "*"
ADDRESS_CHARS = 48
"""Enough for any address without a zone."""


class MalformedAddressError(ValueError):
    """The message names an entry that is neither an address nor a network."""


class Proxies:
    """The trusted proxies: addresses and networks, or `*` if only our own proxy can reach this gateway."""

    def __init__(self, text: str) -> None:
        """`text` is a comma-separated list. Raises: MalformedAddressError."""
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        self._all = ANYONE in entries
        try:
            self._networks = [ip_network(entry, strict=False) for entry in entries if entry != ANYONE]
        except ValueError as error:
            raise MalformedAddressError(str(error)) from None

    def trusts(self, address: str) -> bool:
        """Whether the forwarding headers of this peer count."""
        return self._all or self.lists(address)

    def lists(self, address: str) -> bool:
        """Whether the address itself is in the list."""
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)


@dataclass(frozen=True, slots=True)
class RequestSource:
    """`address` is the client's, in front of all trusted proxies; `user` is the name that a trusted proxy sent."""

    address: str
    has_foreign_proxy: bool
    """Whether a proxy that is not our own Caddy forwarded the request."""
    is_forwarded: bool
    """Whether any proxy forwarded the request."""
    is_forwarded_locally: bool
    """Whether a proxy says that it forwarded the request from this computer, for a name of this computer."""
    is_secure: bool
    host: str
    user: str | None
    is_browser: bool
    is_own_page: bool
    """Whether the browser sent the request for one of our pages, or the client is not a browser."""

    @property
    def is_local_peer(self) -> bool:
        """Whether the client is on this computer. If a proxy forwarded the request, its headers must say so."""
        return is_loopback(self.address) and (not self.is_forwarded or self.is_forwarded_locally)

    @property
    def host_is_local(self) -> bool:
        """Whether `Host` names this computer. A foreign name that resolves to it (DNS rebinding) does not."""
        return _names_this_computer(self.host)

    @property
    def rate_limit_group(self) -> str:
        return limit_group(self.address)

    @property
    def network_group(self) -> str:
        return network_group(self.address)


def network_group(address: str) -> str:
    """A network that one customer of a provider may have: an IPv6 /48, or an IPv4 /24."""
    parsed = _parse(address)
    if parsed is None:
        return address
    return str(ip_network((parsed, 48 if isinstance(parsed, IPv6Address) else 24), strict=False))


def limit_group(address: str) -> str:
    """The addresses that share a limit: one IPv4 address, or an IPv6 /64 network, which is one household."""
    parsed = _parse(address)
    return str(IPv6Interface((parsed, 64)).network) if isinstance(parsed, IPv6Address) else str(parsed)


def read_source(request: HTTPConnection, proxies: Proxies) -> RequestSource:
    """The source of this request."""
    client = request.scope.get("client")
    peer = client[0] if client else ""
    raw_names = [name for name, _ in request.scope["headers"]]
    if _PROXY_HEADERS.isdisjoint(raw_names):
        return _direct_source(request, peer, is_browser=not _BROWSER_HEADERS.isdisjoint(raw_names))
    headers = request.headers
    # To look each name up in the headers would cost more than all the rest.
    names = frozenset(headers.keys())
    is_proxy = proxies.trusts(peer)
    users = headers.getlist("x-forwarded-user") if is_proxy else []
    return RequestSource(
        address=_forwarded_address(headers, proxies, peer) if is_proxy else peer,
        has_foreign_proxy=not names.isdisjoint(FOREIGN_PROXY_HEADERS),
        is_forwarded=not names.isdisjoint(FORWARDING_HEADERS),
        is_forwarded_locally=_is_forwarded_locally(headers, names),
        is_secure=request.scope.get("scheme") == "https" or (is_proxy and headers.get("x-forwarded-proto") == "https"),
        host=headers.get("host", ""),
        # If there are several, nothing tells which of them the proxy sent.
        user=users[0] or None if len(users) == 1 else None,
        is_browser="origin" in names or "sec-fetch-site" in names,
        is_own_page=_is_own_page(
            headers, [*headers.getlist("host"), *(headers.getlist("x-forwarded-host") if is_proxy else ())]
        ),
    )


def _direct_source(request: HTTPConnection, peer: str, *, is_browser: bool) -> RequestSource:
    """As `read_source`, for a request that no proxy forwarded. Every viewer that joins asks for it."""
    return RequestSource(
        address=peer,
        has_foreign_proxy=False,
        is_forwarded=False,
        is_forwarded_locally=False,
        is_secure=request.scope.get("scheme") == "https",
        host=next((value.decode("latin-1") for name, value in request.scope["headers"] if name == b"host"), ""),
        user=None,
        is_browser=is_browser,
        is_own_page=not is_browser or _is_own_page(request.headers, request.headers.getlist("host")),
    )


def _is_forwarded_locally(headers: Headers, names: frozenset[str]) -> bool:
    """Whether the headers are those of a development server's proxy, and name only this computer.

    The proxy must send `X-Forwarded-Host`, the host that the browser asked for, because it may have replaced `Host` by
    its own target. Otherwise a foreign name that resolves to this computer would look local (DNS rebinding). Some
    proxies, such as a rewrite of Next.js 16, send no `X-Forwarded-For`.
    """
    if "x-forwarded-host" not in names or not names & FORWARDING_HEADERS <= DEVELOPMENT_PROXY_HEADERS:
        return False
    addresses = [_without_port(entry) for entry in _entries(headers, "x-forwarded-for")]
    hosts = _entries(headers, "x-forwarded-host")
    return bool(hosts) and all(map(_names_this_computer, hosts)) and all(map(is_loopback, addresses))


def _entries(headers: Headers, name: str) -> list[str]:
    """The entries of a header that is a comma-separated list. A proxy may add a line instead of extending the first."""
    lines = headers.getlist(name)
    return [entry.strip() for entry in ",".join(lines).split(",")] if lines else []


def _names_this_computer(host: str) -> bool:
    """Whether `host`, which may have a port, is `localhost`, a name under it, or a loopback address."""
    # A cache of longer names could be filled with anything.
    return _names_it_known(host) if len(host) <= ADDRESS_CHARS else _names_it(host)


def _names_it(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or name.endswith(".localhost")


_names_it_known = lru_cache(maxsize=1024)(_names_it)


def _forwarded_address(headers: Headers, proxies: Proxies, peer: str) -> str:
    """The client's address. Reads `X-Forwarded-For` from the right, up to the first untrusted address: the entries left
    of it are that client's own claims."""
    address = peer
    for entry in reversed(_entries(headers, "x-forwarded-for")):
        found = _parse(_without_port(entry))
        if found is None:
            break
        address = str(found)
        if not proxies.lists(address):
            break
    return address


def _without_port(entry: str) -> str:
    host, colon, port = entry.rpartition(":")
    is_port = colon and port.isdigit() and (host.endswith("]") or ":" not in host)
    return host if is_port else entry


def is_loopback(address: str) -> bool:
    """Whether `address` is a loopback address or `localhost`."""
    parsed = _parse(address)
    return address == "localhost" or (parsed is not None and parsed.is_loopback)


def _is_own_page(headers: Headers, hosts: list[str]) -> bool:
    """`hosts`: the host names by which the browser may have asked for this server."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site is not None:
        # Only the browser sets this header; no page can. `none`: the user typed the address.
        return site in ("same-origin", "none")
    try:
        return origin is None or urlsplit(origin).netloc in hosts
    except ValueError:
        return False


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    # A cache of longer texts could be filled with anything.
    return _parse_known(text) if len(text) <= ADDRESS_CHARS else _parse_any(text)


def _parse_any(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


_parse_known = lru_cache(maxsize=1024)(_parse_any)
"""A peer has one address for all its requests, and each of them asks for it several times."""
