"""A person's session in a browser: a signed cookie. Every gateway can check it; no JavaScript can read it."""

import hmac
import time
from hashlib import sha256
from secrets import token_urlsafe
from typing import NamedTuple

from contract.connection import Client
from contract.ended_sessions import end_session, has_ended
from gateway.access.api_keys import ApiKey, KeyRing
from gateway.access.signing import ExpiredError, ForgedError, Signing

COOKIE = "manycast_session"
"""The name over plain HTTP; `cookie_name` has the others."""
AUDIENCE = "manycast.session"
PERSON = "person"
MIN_PASSWORD_CHARS = 12
"""Sign-in attempts are limited, so nobody can guess a password of this length unless it is a common one."""


def cookie_name(prefix: str, *, is_secure: bool) -> str:
    """The name of the session's cookie. Over HTTPS, browsers enforce what the prefix of the name promises.

    `__Host-`: this host itself set the cookie over HTTPS; no other one, such as another subdomain, can. That needs the
    path `/`. Under a path prefix, other applications of the same host must not get the cookie, so it keeps its path and
    begins with `__Secure-`: it was set over HTTPS.
    """
    if not is_secure:
        return COOKIE
    return f"__Secure-{COOKIE}" if prefix else f"__Host-{COOKIE}"


class SessionOwner(NamedTuple):
    """The person who signed in, with `key` or, if it is None, with the password. `session_id`: "" before it begins."""

    key: ApiKey | None
    session_id: str = ""


class Sessions:
    """Begins, finds and ends sessions. One ends when its owner signs out, after its lifetime, or as soon as its key or
    password is no longer valid."""

    def __init__(self, client: Client, signing: Signing, keys: KeyRing, password: str, lifetime_s: int) -> None:
        self._client = client
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
        subject = PERSON if owner.key is None else f"key:{owner.key.id}"
        claims = {"sub": subject, "jti": token_urlsafe(16), "proof": await self._signing.seal(self._secret_of(owner))}
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
        if not hmac.compare_digest(proof, str(claims.get("proof"))):
            return None
        session_id = str(claims.get("jti") or "")
        if not session_id or await self.has_ended(session_id):
            return None
        return SessionOwner(owner.key, session_id)

    async def has_ended(self, session_id: str) -> bool:
        """Whether the owner of the session has signed out. Raises: BrokerUnavailableError, BrokerRefusedError."""
        return await has_ended(self._client, session_id)

    async def end(self, cookie: str) -> None:
        """Ends the session at every gateway, so that a copy of its cookie is of no use. Ignores a value that is not a
        session.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        try:
            claims = (await self._signing.read(AUDIENCE, cookie)).claims
        except (ExpiredError, ForgedError):
            return
        await end_session(self._client, str(claims.get("jti")), int(claims["exp"]) - int(time.time()) + 1)

    def _owner_of(self, subject: str) -> SessionOwner | None:
        if subject == PERSON:
            return SessionOwner(None) if self._password else None
        key = self._keys.find_by_id(subject.removeprefix("key:"))
        return None if key is None else SessionOwner(key)

    def _secret_of(self, owner: SessionOwner) -> str:
        """A text that changes when the owner's password or key does, which ends the session."""
        return f"password {self._password}" if owner.key is None else f"key {owner.key.hash}"


def _digest(text: str) -> bytes:
    # All digests have the same length, so the comparison does not reveal the length of the secret.
    return sha256(text.encode(errors="surrogatepass")).digest()
