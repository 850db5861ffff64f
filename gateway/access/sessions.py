"""A person's session in a browser: a signed cookie, so that every gateway knows it and no key lives in JavaScript."""

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
    """Who signed in: with this key, or, where it is None, with the password."""

    key: ApiKey | None


class Sessions:
    """Over when its time is up, and as soon as the key or the password it was made with holds no more."""

    def __init__(self, signing: Signing, keys: KeyRing, password: str, lifetime_s: int) -> None:
        self._signing = signing
        self._keys = keys
        self._password = password
        self.lifetime_s = lifetime_s

    @property
    def has_password(self) -> bool:
        return bool(self._password)

    def authenticate(self, secret: str) -> SessionOwner | None:
        """Whose secret that is, in constant time; None: nobody's."""
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
        """None where it is over, or never was. Raises: BrokerUnavailableError, BrokerRefusedError."""
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
    # Of equal length, so that comparing tells nothing of it.
    return sha256(text.encode(errors="surrogatepass")).digest()
