"""Digests of names that callers choose, for use in Redis keys. Pure: no I/O."""

from hashlib import sha256


def digest_name(name: str) -> str:
    """The SHA-256 of `name` in hex. `name` may hold any character that JSON allows, lone surrogates included."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
