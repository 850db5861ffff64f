"""A person's session in a browser: a signed cookie. Every gateway can check it; no JavaScript can read it."""

import hmac
import time
from hashlib import sha256
from typing import NamedTuple

from gateway.access.api_keys import ApiKey, KeyRing
from gateway.access.signing import ExpiredError, ForgedError, Signing

COOKIE = "manycast_session"
AUDIENCE = "manycast.session"
PERSON = "person"
MIN_PASSWORD_CHARS = 12
"""With the limits on guesses, nobody finds a password of this length by trying, unless it is a known one."""


class SessionOwner(NamedTuple):
    """The person who signed in, with `key` or, if it is None, with the password."""

    key: ApiKey | None


class Sessions:
    """Begins and finds sessions. One ends after its lifetime, or as soon as its key or password is no longer valid."""

    def __init__(self, signing: Signing, keys: KeyRing, password: str, lifetime_s: int) -> None:
        self._signing = signing
        self._keys = keys
        self._password = password
        self.lifetime_s = lifetime_s

    @property
    def has_password(self) -> bool:
        return bool(self._password)

    def authenticate(self, secret: str) -> SessionOwner | None:
        """The person who has this secret; None if it is wrong. Compares in constant time."""
        if self._password and hmac.compare_digest(_digest(secret), _digest(self._password)):
            return SessionOwner(None)
        key = self._keys.find(secret)
        return None if key is None else SessionOwner(key)

    async def begin(self, owner: SessionOwner) -> str:
        """The value of the session's cookie. Raises: BrokerUnavailableError, BrokerRefusedError."""
        subject = PERSON if owner.key is None else f"key:{owner.key.name}"
        claims = {"sub": subject, "proof": await self._signing.seal(self._secret_of(owner))}
        return await self._signing.sign(AUDIENCE, claims, int(time.time()) + self.lifetime_s)

    async def find(self, cookie: str) -> SessionOwner | None:
        """The session's owner; None if it has ended or never existed.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        try:
            claims, kid = await self._signing.read(AUDIENCE, cookie)
            owner = self._owner_of(str(claims["sub"]))
            if owner is None:
                return None
            proof = await self._signing.seal(self._secret_of(owner), kid)
        except (ExpiredError, ForgedError):
            return None
        return owner if hmac.compare_digest(proof, str(claims.get("proof"))) else None

    def _owner_of(self, subject: str) -> SessionOwner | None:
        if subject == PERSON:
            return SessionOwner(None) if self._password else None
        key = self._keys.find_by_name(subject.removeprefix("key:"))
        return None if key is None else SessionOwner(key)

    def _secret_of(self, owner: SessionOwner) -> str:
        """A text that changes when the owner's password or key does, which ends the session."""
        return f"password {self._password}" if owner.key is None else f"key {owner.key.hash}"


def _digest(text: str) -> bytes:
    # All digests have the same length, so the comparison does not reveal the length of the secret.
    return sha256(text.encode(errors="surrogatepass")).digest()
