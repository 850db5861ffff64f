"""Signs and reads tokens (with PyJWT). Every gateway can read them, and only a gateway can make them."""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from secrets import token_hex, token_urlsafe
from typing import Any, NamedTuple

import jwt

from contract.connection import Client
from contract.tickets import share_secret

ALGORITHM = "HS256"
MIN_SECRET_CHARS = 32


class MalformedSecretsError(ValueError):
    """The message says what is wrong with the signing keys. It never quotes them."""


class ForgedError(Exception):
    """The token was not signed by a gateway, or was signed for another purpose."""


class ExpiredError(Exception):
    """The token's lifetime is over."""


class Signed(NamedTuple):
    """The claims of a token, and the name of the secret that signed them."""

    claims: Mapping[str, Any]
    kid: str


def parse_secrets(text: str) -> dict[str, str]:
    """Parses `kid:secret,kid:secret`. The first one signs; all are accepted. Raises: MalformedSecretsError."""
    secrets: dict[str, str] = {}
    for number, entry in enumerate(filter(None, text.split(",")), 1):
        kid, _, secret = entry.strip().partition(":")
        if not kid or kid in secrets:
            raise MalformedSecretsError(f"entry {number}: there is no name before the colon, or the name is used twice")
        if len(secret) < MIN_SECRET_CHARS:
            raise MalformedSecretsError(f"entry {number}: the secret is shorter than {MIN_SECRET_CHARS} characters")
        secrets[kid] = secret
    return secrets


def read_subject(token: str) -> str | None:
    """What a token claims to be about, unverified: use it only to find the token that must be verified."""
    try:
        subject = jwt.decode(token, options={"verify_signature": False}).get("sub")
    except (jwt.PyJWTError, ValueError):
        return None
    return subject if isinstance(subject, str) else None


class Signing:
    """`configured` are the secrets to use. If there are none, all gateways share a secret that Redis holds."""

    def __init__(self, client: Client, configured: Mapping[str, str]) -> None:
        self._client = client
        self._is_configured = bool(configured)
        self._secrets = dict(configured)

    async def sign(self, audience: str, claims: Mapping[str, Any], expires_at: int) -> str:
        """`expires_at` in Unix seconds. Raises: BrokerUnavailableError, BrokerRefusedError."""
        kid, secret = await self._signing_secret()
        payload = {**claims, "aud": audience, "exp": expires_at}
        return jwt.encode(payload, secret, ALGORITHM, headers={"kid": kid})

    async def read(self, audience: str, token: str) -> Signed:
        """Raises: ForgedError, ExpiredError, BrokerUnavailableError, BrokerRefusedError."""
        try:
            kid = str(jwt.get_unverified_header(token).get("kid"))
            secret = await self._find(kid)
            # Accept only this algorithm. A forged token could name another, such as `none`.
            claims = jwt.decode(
                token, secret, [ALGORITHM], audience=audience, options={"require": ["aud", "exp", "sub"]}
            )
        except jwt.ExpiredSignatureError:
            raise ExpiredError from None
        except (jwt.PyJWTError, ValueError):
            raise ForgedError from None
        return Signed(claims, kid)

    async def seal(self, text: str, kid: str | None = None) -> str:
        """A digest of `text` that only gateways can make. `kid`: the secret to use; None: the one that signs.

        Raises: ForgedError, BrokerUnavailableError, BrokerRefusedError.
        """
        secret = (await self._signing_secret())[1] if kid is None else await self._find(kid)
        return hmac.new(secret.encode(), text.encode(errors="surrogatepass"), sha256).hexdigest()

    async def _find(self, kid: str) -> str:
        if kid not in self._secrets:
            await self._signing_secret()
        secret = self._secrets.get(kid)
        if secret is None:
            raise ForgedError
        return secret

    async def _signing_secret(self) -> tuple[str, str]:
        """The name of the secret to sign with, and the secret.

        Reads a shared secret from Redis each time. Redis may have lost it or an operator removed it, and then other
        gateways refuse tokens that the old one signed.
        """
        if not self._is_configured:
            shared = await share_secret(self._client, f"{token_hex(4)}:{token_urlsafe(32)}")
            self._secrets = parse_secrets(shared)
        return next(iter(self._secrets.items()))
