"""Who stands at the door, as far as the connection and the headers tell. No header counts that a stranger could send.

Pure: from a request to what it says of its sender.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Interface, ip_address, ip_network
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PASSED_ON = ("forwarded", "x-real-ip", "cf-connecting-ip")
"""What says that somebody else has passed this request on, also where our own Caddy is the last who did."""
FORWARDING = (*PASSED_ON, "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via")
ANYONE = "*"


class MalformedAddressError(ValueError):
    """An entry that is neither an address nor a network."""


class Proxies:
    """Whose word counts: addresses and networks, or `*`, where nobody but our own proxy can reach us."""

    def __init__(self, text: str) -> None:
        """`text` is separated by commas. Raises: MalformedAddressError."""
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        self._all = ANYONE in entries
        try:
            self._networks = [ip_network(entry, strict=False) for entry in entries if entry != ANYONE]
        except ValueError as error:
            raise MalformedAddressError(str(error)) from None

    def trusts(self, address: str) -> bool:
        """Whether what this peer forwards is believed."""
        return self._all or self.lists(address)

    def lists(self, address: str) -> bool:
        """Whether the address itself is named."""
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)


@dataclass(frozen=True, slots=True)
class RequestSource:
    """`address` is where it comes from, in front of all our proxies; `user` whom a trusted proxy says it is."""

    address: str
    is_passed_on: bool
    is_forwarded: bool
    is_secure: bool
    host: str
    user: str | None
    is_browser: bool
    is_own_page: bool
    """It is no browser, or the browser acts for a page of ours."""

    @property
    def is_near(self) -> bool:
        """On this machine, with nobody in between who might bring others."""
        return not self.is_forwarded and is_loopback(self.address)

    @property
    def names_this_machine(self) -> bool:
        """Its `Host` cannot be a name of somebody else's that was made to point here (DNS rebinding)."""
        try:
            host = urlsplit(f"//{self.host}").hostname or ""
        except ValueError:
            return False
        return is_loopback(host) or host.endswith(".localhost")

    @property
    def neighbourhood(self) -> str:
        """What is counted together: an IPv4 address, or the /64 that one IPv6 household has to itself."""
        parsed = _parse(self.address)
        return str(IPv6Interface((parsed, 64)).network) if isinstance(parsed, IPv6Address) else str(parsed)


def read_source(request: Request, proxies: Proxies) -> RequestSource:
    """The visitor that sent this request."""
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
        # Of several one is the proxy's, and nobody knows which.
        user=users[0] or None if len(users) == 1 else None,
        is_browser="origin" in headers or "sec-fetch-site" in headers,
        is_own_page=_is_own_page(request),
    )


def _forwarded_address(headers: Headers, proxies: Proxies, peer: str) -> str:
    """From the right: what stands left of the first stranger is the stranger's own word."""
    # A proxy may add a line of its own below one that was there.
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
    """Whether only this machine can reach or have it; `localhost` counts."""
    parsed = _parse(address)
    return address == "localhost" or (parsed is not None and parsed.is_loopback)


def _is_own_page(request: Request) -> bool:
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site is not None:
        # Set by the browser itself, and by no page. `none`: typed by its user.
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
