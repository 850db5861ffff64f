"""Names that others chose, as keys of ours can hold them. Pure: no I/O."""

from hashlib import sha256


def digest_name(name: str) -> str:
    """The SHA-256 of a text in hex: what others chose is no key of ours. It may hold anything that JSON can."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
