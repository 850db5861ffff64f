"""Where a request comes from, by its connection and headers. Forwarding headers count only from trusted proxies.

No I/O.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Interface, ip_address, ip_network
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PASSED_ON = ("forwarded", "x-real-ip", "cf-connecting-ip")
"""Headers of another proxy in front of this server, also if our own Caddy was the last one."""
FORWARDING = (*PASSED_ON, "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via")
ANYONE = "*"


class MalformedAddressError(ValueError):
    """Names an entry that is neither an address nor a network."""


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
    is_passed_on: bool
    is_forwarded: bool
    is_secure: bool
    host: str
    user: str | None
    is_browser: bool
    is_own_page: bool
    """Whether the client is no browser, or the browser sent the request for one of our pages."""

    @property
    def is_local_peer(self) -> bool:
        """Whether the client is on this computer, with no proxy between that could pass on other clients."""
        return not self.is_forwarded and is_loopback(self.address)

    @property
    def host_is_local(self) -> bool:
        """Whether `Host` names this computer. A foreign name that resolves to it (DNS rebinding) does not."""
        try:
            host = urlsplit(f"//{self.host}").hostname or ""
        except ValueError:
            return False
        return is_loopback(host) or host.endswith(".localhost")

    @property
    def rate_limit_group(self) -> str:
        """What shares a rate limit: an IPv4 address, or an IPv6 /64, which one household has to itself."""
        parsed = _parse(self.address)
        return str(IPv6Interface((parsed, 64)).network) if isinstance(parsed, IPv6Address) else str(parsed)


def read_source(request: Request, proxies: Proxies) -> RequestSource:
    """The source of this request."""
    peer = request.client.host if request.client else ""
    headers = request.headers
    is_proxy = proxies.trusts(peer)
    users = headers.getlist("x-forwarded-user") if is_proxy else []
    return RequestSource(
        address=_forwarded_address(headers, proxies, peer) if is_proxy else peer,
        is_passed_on=any(name in headers for name in PASSED_ON),
        is_forwarded=any(name in headers for name in FORWARDING),
        is_secure=request.url.scheme == "https" or (is_proxy and headers.get("x-forwarded-proto") == "https"),
        host=headers.get("host", ""),
        # With several headers, nothing tells which one is the proxy's.
        user=users[0] or None if len(users) == 1 else None,
        is_browser="origin" in headers or "sec-fetch-site" in headers,
        is_own_page=_is_own_page(request),
    )


def _forwarded_address(headers: Headers, proxies: Proxies, peer: str) -> str:
    """Reads from the right: entries left of the first untrusted address are that client's own claims."""
    # A proxy may add a second header line instead of extending the first.
    entries = ",".join(headers.getlist("x-forwarded-for")).split(",")
    address = peer
    for entry in reversed(entries):
        found = _parse(_without_port(entry.strip()))
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
    """Whether only this computer can reach or have the address; `localhost` counts."""
    parsed = _parse(address)
    return address == "localhost" or (parsed is not None and parsed.is_loopback)


def _is_own_page(request: Request) -> bool:
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site is not None:
        # The browser sets it, and no page can. `none`: the user typed the address.
        return site in ("same-origin", "none")
    try:
        return origin is None or urlsplit(origin).netloc == request.headers.get("host")
    except ValueError:
        return False


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
