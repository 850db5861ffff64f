"""SOCKS proxies of the environment: whether one is used for a URL, and whether we can speak SOCKS."""

from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

SPOKEN = ("socks5", "socks5h")


class SocksUnavailableError(Exception):
    """The proxy cannot be used. One sentence, which names the variable and says what to do."""


def uses_socks(url: str) -> bool:
    """Whether the environment has a SOCKS proxy for the URL. Raises: SocksUnavailableError if it cannot be used."""
    parts, proxies = urlsplit(url), getproxies_environment()
    if proxy_bypass(parts.hostname or ""):
        return False
    name = next((name for name in (parts.scheme, "all") if name in proxies), "")
    kind = urlsplit(proxies.get(name, "")).scheme.lower()
    if not kind.startswith("socks"):
        return False
    variable = f"{name.upper()}_PROXY"
    if kind not in SPOKEN:
        raise SocksUnavailableError(f"{variable} names a proxy of the kind {kind}; known are {', '.join(SPOKEN)}")
    if find_spec("socksio") is None:
        advice = "pip install 'socksio==1.*', or install Manycast with its extra: pip install '.[socks]'"
        raise SocksUnavailableError(f"{variable} names a SOCKS proxy, which needs the package socksio: {advice}")
    return True
