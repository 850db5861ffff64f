"""The address at which other devices reach this server, for links to share from this computer. No I/O."""

from urllib.parse import urlsplit


def parse_share_url(text: str) -> str:
    """The address, with a slash at its end; "" stays "". Raises: ValueError for anything but an HTTP address."""
    if not text:
        return ""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("it is not the address of a server, such as http://192.168.1.20:8000")
    return text.rstrip("/") + "/"
