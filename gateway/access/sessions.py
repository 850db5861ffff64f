"""A person's session in a browser: a signed cookie, which every gateway can check and no JavaScript can read."""

import hmac
import time
from hashlib import sha256
from typing import NamedTuple

from gateway.access.api_keys import ApiKey, KeyRing
from gateway.access.signing import ExpiredError, ForgedError, Signing

COOKIE = "manycast_session"
AUDIENCE = "manycast.session"
PERSON = "person"


class SessionOwner(NamedTuple):
    """The person who signed in with this key; None: with the password."""

    key: ApiKey | None


class Sessions:
    """A session ends after its lifetime, and as soon as its key or password is no longer valid."""

    def __init__(self, signing: Signing, keys: KeyRing, password: str, lifetime_s: int) -> None:
        self._signing = signing
        self._keys = keys
        self._password = password
        self.lifetime_s = lifetime_s

    @property
    def has_password(self) -> bool:
        return bool(self._password)

    def authenticate(self, secret: str) -> SessionOwner | None:
        """The owner of a secret, compared in constant time; None if it is wrong."""
        if self._password and hmac.compare_digest(_digest(secret), _digest(self._password)):
            return SessionOwner(None)
        key = self._keys.find(secret)
        return None if key is None else SessionOwner(key)

    async def begin(self, owner: SessionOwner) -> str:
        """The cookie's value. Raises: BrokerUnavailableError, BrokerRefusedError."""
        subject = PERSON if owner.key is None else f"key:{owner.key.name}"
        claims = {"sub": subject, "proof": await self._signing.seal(self._proven_by(owner))}
        return await self._signing.sign(AUDIENCE, claims, int(time.time()) + self.lifetime_s)

    async def find(self, cookie: str) -> SessionOwner | None:
        """None if the session has ended or never existed. Raises: BrokerUnavailableError, BrokerRefusedError."""
        try:
            claims, kid = await self._signing.read(AUDIENCE, cookie)
            owner = self._owner_of(str(claims["sub"]))
            if owner is None:
                return None
            proof = await self._signing.seal(self._proven_by(owner), kid)
        except (ExpiredError, ForgedError):
            return None
        return owner if hmac.compare_digest(proof, str(claims.get("proof"))) else None

    def _owner_of(self, subject: str) -> SessionOwner | None:
        if subject == PERSON:
            return SessionOwner(None) if self._password else None
        key = self._keys.find_by_name(subject.removeprefix("key:"))
        return None if key is None else SessionOwner(key)

    def _proven_by(self, owner: SessionOwner) -> str:
        return f"password {self._password}" if owner.key is None else f"key {owner.key.hash}"


def _digest(text: str) -> bytes:
    # Digests have equal length, so that the comparison reveals nothing about the secret's.
    return sha256(text.encode(errors="surrogatepass")).digest()
