"""The door to PyJWT: what this gateway signs, any of them can read; nobody else can make it. Not what it means."""

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
    """Says what is wrong with the signing keys, never what they are."""


class ForgedError(Exception):
    """Not signed by one of us, or for another purpose."""


class ExpiredError(Exception):
    """Signed by one of us, some time ago."""


class Signed(NamedTuple):
    """What was signed, and the name of the secret it was signed with."""

    claims: Mapping[str, Any]
    kid: str


def parse_secrets(text: str) -> dict[str, str]:
    """`kid:secret,kid:secret`; the first one signs, all are accepted. Raises: MalformedSecretsError."""
    secrets: dict[str, str] = {}
    for number, entry in enumerate(filter(None, text.split(",")), 1):
        kid, _, secret = entry.strip().partition(":")
        if not kid or kid in secrets:
            raise MalformedSecretsError(f"entry {number}: no name before its colon, or the name of another one")
        if len(secret) < MIN_SECRET_CHARS:
            raise MalformedSecretsError(f"entry {number}: the secret is shorter than {MIN_SECRET_CHARS} characters")
        secrets[kid] = secret
    return secrets


class Signing:
    """`configured` are the secrets to use; without any, the gateways on one Redis share one that they keep there."""

    def __init__(self, client: Client, configured: Mapping[str, str]) -> None:
        self._client = client
        self._is_configured = bool(configured)
        self._secrets = dict(configured)

    async def sign(self, audience: str, claims: Mapping[str, Any], expires_at: int) -> str:
        """`expires_at` in Unix seconds. Raises: BrokerUnavailableError, BrokerRefusedError."""
        kid, secret = await self._agree()
        what = {**claims, "aud": audience, "exp": expires_at}
        return jwt.encode(what, secret, ALGORITHM, headers={"kid": kid})

    async def read(self, audience: str, token: str) -> Signed:
        """Raises: ForgedError, ExpiredError, BrokerUnavailableError, BrokerRefusedError."""
        try:
            kid = str(jwt.get_unverified_header(token).get("kid"))
            secret = await self._find(kid)
            # The one algorithm, whatever the token says of itself: `none` is among what it might say.
            claims = jwt.decode(
                token, secret, [ALGORITHM], audience=audience, options={"require": ["aud", "exp", "sub"]}
            )
        except jwt.ExpiredSignatureError:
            raise ExpiredError from None
        except (jwt.PyJWTError, ValueError):
            raise ForgedError from None
        return Signed(claims, kid)

    async def seal(self, text: str, kid: str | None = None) -> str:
        """A digest of `text` that only we can make. Raises: ForgedError, BrokerUnavailableError, BrokerRefusedError."""
        secret = (await self._agree())[1] if kid is None else await self._find(kid)
        return hmac.new(secret.encode(), text.encode(errors="surrogatepass"), sha256).hexdigest()

    async def _find(self, kid: str) -> str:
        if kid not in self._secrets:
            await self._agree()
        secret = self._secrets.get(kid)
        if secret is None:
            raise ForgedError
        return secret

    async def _agree(self) -> tuple[str, str]:
        """The secret to sign with. Asked anew each time: Redis may have lost it, or an operator taken it out, and what
        is signed with an old one no other gateway would accept."""
        if not self._is_configured:
            shared = await share_secret(self._client, f"{token_hex(4)}:{token_urlsafe(32)}")
            self._secrets = parse_secrets(shared)
        return next(iter(self._secrets.items()))
