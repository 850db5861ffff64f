"""Authenticates callers and applies rate limits. docs/protocol.md, section 11, specifies it."""

import logging
import math
from dataclasses import dataclass, replace

from fastapi import Request

from contract.connection import Client
from contract.rate_limit import RateLimit, take_token
from gateway.access.api_keys import PREFIX, ApiKey, KeyRing
from gateway.access.caller import Caller, rate_limit_headers
from gateway.access.request_source import SAFE_METHODS, Proxies, RequestSource, is_loopback, read_source
from gateway.access.sessions import SessionOwner, Sessions, cookie_name
from gateway.access.tickets import is_ticket
from gateway.http.errors import ApiError
from gateway.http.root_path import prefix_of
from gateway.http.security_log import Kind, SecurityLog

logger = logging.getLogger(__name__)

SIGN_INS_PER_MINUTE = 10
NETWORK_SIGN_INS_PER_MINUTE = 30
ALL_SIGN_INS_PER_MINUTE = 300
"""Attempts to sign in, of one address, of one network, and of all clients together. The last one slows down an attacker
with many networks. Such an attacker can keep others from signing in, but sessions and keys still work."""
LOCAL_ONLY = "Only this computer can ask questions until you set a password or an API key."


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Which callers to admit. `published_on`: the address where callers reach this gateway, if it listens on another.
    `per_minute`: how many requests one address may send in a minute, `runs_at_once`: how many runs a person may have at
    the same time, unless a key sets other limits; 0: any number."""

    proxies: Proxies
    published_on: str
    trusts_user_header: bool
    per_minute: int
    runs_at_once: int
    readings_per_minute: int
    """How many completions one address may read in a minute; 0: any number."""


class Authenticator:
    """Admits or refuses requests. It keeps no state that a decision depends on, so every gateway decides alike."""

    def __init__(
        self, client: Client, keys: KeyRing, sign_ins: Sessions, policy: AccessPolicy, security: SecurityLog
    ) -> None:
        self._client = client
        self._keys = keys
        self._sign_ins = sign_ins
        self._policy = policy
        self._security = security
        self._has_warned_of_proxy = False
        self.admits_only_local = not (keys or sign_ins.has_password or policy.trusts_user_header)
        """Whether only callers on this computer are admitted: no key, password or user header is configured."""

    def read_source(self, request: Request) -> RequestSource:
        return read_source(request, self._policy.proxies)

    def check_page(self, request: Request) -> None:
        """Refuses requests of other sites' pages, which a browser sends with our cookies. Raises: ApiError 403."""
        if request.method not in SAFE_METHODS and not self.read_source(request).is_own_page:
            self._security.note(Kind.REFUSED_ORIGIN, request, f"origin {request.headers.get('origin', 'unknown')}")
            raise ApiError(403, "cross_site", "A page of another site may not do this.", type_="permission_error")

    async def authenticate_start(self, request: Request) -> Caller:
        """The caller of a request that starts a run. Counts the request against the rate limit.

        Raises: ApiError 401, 403, 429, BrokerUnavailableError, BrokerRefusedError.
        """
        source = self.read_source(request)
        try:
            caller = await self.authenticate(request)
        except ApiError as refusal:
            if refusal.code == "not_this_machine":
                self._security.note(Kind.REFUSED_ADDRESS, request, refusal.code)
            await self._take_token(request, RateLimit(f"refused:{source.rate_limit_group}", self._policy.per_minute))
            raise
        limit = self._limit_of(request, caller.key)
        return replace(caller, headers={} if limit is None else await self._take_token(request, limit))

    def _limit_of(self, request: Request, key: ApiKey | None) -> RateLimit | None:
        """How many runs a key, or an address without one, may start. None: only this computer may, without a limit."""
        if key is not None:
            return RateLimit(_holder_of(key).identity, key.requests_per_minute)
        if self.admits_only_local:
            return None
        return RateLimit(f"address:{self.read_source(request).rate_limit_group}", self._policy.per_minute)

    async def authenticate(self, request: Request) -> Caller:
        """The caller. Raises: ApiError 401, 403, BrokerUnavailableError, BrokerRefusedError."""
        caller = await self._authenticate(request)
        # For the security log.
        request.state.caller = caller.name
        return caller

    async def _authenticate(self, request: Request) -> Caller:
        key = self.find_key(request)
        if key is not None:
            return _holder_of(key)
        if self.admits_only_local:
            return self.authenticate_local(request)
        caller = await self._authenticate_person(request, self.read_source(request))
        self.check_page(request)
        return caller

    def authenticate_local(self, request: Request) -> Caller:
        """As `authenticate`, if `admits_only_local`. Raises: ApiError 403."""
        caller = self._authenticate_source(self.read_source(request))
        self.check_page(request)
        return caller

    def find_key(self, request: Request) -> ApiKey | None:
        """The request's API key; None if it has none, or none is configured. Raises: ApiError 401."""
        bearer = bearer_token(request)
        if not self._keys or bearer is None or is_ticket(bearer):
            return None
        key = self._keys.find(bearer)
        if key is None:
            self._security.note(Kind.REFUSED_KEY, request, "unknown_key")
            raise ApiError(401, "invalid_api_key", "This API key is unknown or was withdrawn.")
        return key

    def _authenticate_source(self, source: RequestSource) -> Caller:
        if self._policy.published_on:
            is_local = is_loopback(self._policy.published_on) and not source.has_foreign_proxy
        else:
            is_local = source.is_local_peer
        if is_local and source.host_is_local:
            if source.is_forwarded_locally:
                self._warn_of_proxy()
            return Caller("", sees_all=True, is_operator=not (source.is_browser or source.is_forwarded_locally))
        if is_local:
            reason = "The Host header of this request does not name this computer."
        elif source.is_forwarded:
            reason = "A proxy forwarded this request. Its headers name another computer, or lack X-Forwarded-Host."
        else:
            reason = "This request comes from another computer."
        text = f"{LOCAL_ONLY} {reason} To let others in, set MANYCAST_PASSWORD or MANYCAST_KEYS (docs/operations.md)."
        raise ApiError(403, "not_this_machine", text, type_="permission_error")

    def _warn_of_proxy(self) -> None:
        if not self._has_warned_of_proxy:
            self._has_warned_of_proxy = True
            logger.warning(
                "a proxy on this computer forwards requests, for example a development server; everyone who can reach "
                "the proxy can start runs; if other computers can reach it, set MANYCAST_PASSWORD"
            )

    async def _authenticate_person(self, request: Request, source: RequestSource) -> Caller:
        cookie = request.cookies.get(self.session_cookie(request))
        owner = await self._sign_ins.find(cookie) if cookie else None
        if owner is not None:
            return self._caller_of(owner)
        if self._policy.trusts_user_header and source.user:
            return Caller(f"user:{source.user}", runs_at_once=self._policy.runs_at_once)
        headers = {"WWW-Authenticate": "Bearer"}
        text = "To ask questions here, send an API key or sign in."
        if request.headers.get("authorization", "").startswith(PREFIX):
            text = f"Send the API key behind the word Bearer: 'Authorization: Bearer {PREFIX}…'."
        raise ApiError(401, "missing_api_key", text, headers=headers)

    async def is_still_admitted(self, caller: Caller) -> bool:
        """Whether the key and the session that admitted the caller are still valid.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        if caller.key is not None:
            key = self._keys.find_by_id(caller.key.id)
            # Its limits may have changed.
            if key is None or key.hash != caller.key.hash:
                return False
        return not caller.session_id or not await self._sign_ins.has_ended(caller.session_id)

    async def check_sign_in_rate(self, request: Request) -> None:
        """Limits attempts to sign in, so that nobody guesses the password by trying.

        Raises: ApiError 403, 429, BrokerUnavailableError, BrokerRefusedError.
        """
        self.check_page(request)
        source = self.read_source(request)
        # The narrowest first: what it refuses takes nothing from the others.
        for limit in (
            RateLimit(f"sign-in:{source.rate_limit_group}", SIGN_INS_PER_MINUTE),
            RateLimit(f"sign-in network:{source.network_group}", NETWORK_SIGN_INS_PER_MINUTE),
            RateLimit("sign-in", ALL_SIGN_INS_PER_MINUTE),
        ):
            await self._take_token(request, limit)

    async def check_reading_rate(self, request: Request) -> None:
        """Limits the requests of one address for whole completions, each of which may be large.

        Raises: ApiError 429, BrokerUnavailableError, BrokerRefusedError.
        """
        if not self.admits_only_local:
            group = self.read_source(request).rate_limit_group
            await self._take_token(request, RateLimit(f"completion:{group}", self._policy.readings_per_minute))

    async def check_answer_rate(self, request: Request) -> dict[str, str]:
        """Limits the answers of one key, or of one address without a key, to the questions of scripts. They cost no
        starts of runs. Returns headers for the response.

        Raises: ApiError 429, BrokerUnavailableError, BrokerRefusedError.
        """
        bearer = bearer_token(request)
        limit = self._limit_of(request, None if bearer is None else self._keys.find(bearer))
        if limit is None:
            return {}
        return await self._take_token(request, replace(limit, name=f"answer:{limit.name}"))

    async def sign_in(self, request: Request, secret: str) -> tuple[Caller, str]:
        """The caller, and the value of its session cookie. Raises: ApiError 401, BrokerUnavailableError."""
        owner = self._sign_ins.authenticate(secret)
        if owner is None:
            self._security.note(Kind.WRONG_PASSWORD, request, "wrong_secret")
            raise ApiError(401, "wrong_secret", "That is neither the password nor an API key.", param="secret")
        caller, cookie = self._caller_of(owner), await self._sign_ins.begin(owner)
        self._security.note(Kind.SIGN_IN, request, "right_secret", caller=caller.name)
        return caller, cookie

    async def sign_out(self, request: Request) -> None:
        """Ends the session of this request, if it has one.

        Raises: ApiError 403, BrokerUnavailableError, BrokerRefusedError.
        """
        self.check_page(request)
        cookie = request.cookies.get(self.session_cookie(request))
        if not cookie:
            return
        owner = await self._sign_ins.find(cookie)
        await self._sign_ins.end(cookie)
        if owner is not None:
            self._security.note(Kind.SIGN_OUT, request, "signed_out", caller=self._caller_of(owner).name)

    def session_cookie(self, request: Request) -> str:
        """The name of the cookie with the session of this request."""
        return cookie_name(prefix_of(request), is_secure=self.read_source(request).is_secure)

    @property
    def has_sign_in(self) -> bool:
        """Whether people can sign in, with a password or a key."""
        return bool(self._keys) or self._sign_ins.has_password

    def _caller_of(self, owner: SessionOwner) -> Caller:
        if owner.key is not None:
            return _holder_of(owner.key, owner.session_id)
        at_once = self._policy.runs_at_once
        return Caller("person", runs_at_once=at_once, sees_all=True, session_id=owner.session_id)

    async def _take_token(self, request: Request, allowance: RateLimit) -> dict[str, str]:
        if allowance.per_minute == 0:
            return {}
        taken = await take_token(self._client, allowance)
        headers = rate_limit_headers(allowance.per_minute, taken)
        if taken.granted:
            return headers
        caller = getattr(request.state, "caller", "")
        self._security.note(
            Kind.LIMIT_REACHED, request, f"{allowance.per_minute}/minute {allowance.name}", caller=caller
        )
        headers["Retry-After"] = str(math.ceil(taken.next_ms / 1000))
        text = f"No more than {allowance.per_minute} requests a minute are allowed. This one was refused."
        raise ApiError(429, "rate_limit_exceeded", text, type_="requests", headers=headers)


def _holder_of(key: ApiKey, session_id: str = "") -> Caller:
    return Caller(f"key:{key.name}", key, runs_at_once=key.runs_at_once, session_id=session_id)


def bearer_token(request: Request) -> str | None:
    """The token of `Authorization: Bearer`: an API key or a ticket."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" and credentials.strip() else None
