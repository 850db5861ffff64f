"""Builds the authenticator and the permissions of a gateway from its options."""

import logging
from pathlib import Path
from typing import NamedTuple

from contract.connection import Client
from gateway.access.api_keys import KeyRing
from gateway.access.authenticator import LOCAL_ONLY, AccessPolicy, Authenticator
from gateway.access.permissions import Permissions
from gateway.access.request_source import Proxies
from gateway.access.sessions import Sessions
from gateway.access.signing import Signing, parse_secrets
from gateway.access.tickets import Tickets
from gateway.http.security_log import SecurityLog

logger = logging.getLogger(__name__)


class AccessControl(NamedTuple):
    """What decides who may start runs, and who may watch or control a stream, and makes tickets for them."""

    authenticator: Authenticator
    permissions: Permissions
    tickets: Tickets


class AccessOptions(NamedTuple):
    """The gateway's settings for access, as docs/operations.md describes them."""

    keys: str
    keys_file: Path | None
    password: str
    signing_keys: str
    sign_in_s: int
    trusted_proxies: str
    published_on: str
    trusts_user_header: bool
    requests_per_minute: int
    runs_at_once: int
    completions_per_minute: int


def build_access(client: Client, options: AccessOptions, security: SecurityLog) -> AccessControl:
    """Logs a line when only this computer may start runs. Raises: ValueError for an option that cannot be parsed."""
    signing = Signing(client, parse_secrets(options.signing_keys))
    keys = KeyRing(options.keys, options.keys_file, security.note_address)
    policy = AccessPolicy(
        proxies=Proxies(options.trusted_proxies),
        published_on=options.published_on,
        trusts_user_header=options.trusts_user_header,
        per_minute=options.requests_per_minute,
        runs_at_once=options.runs_at_once,
        readings_per_minute=options.completions_per_minute,
    )
    sessions = Sessions(client, signing, keys, options.password, options.sign_in_s)
    authenticator = Authenticator(client, keys, sessions, policy, security)
    if authenticator.admits_only_local:
        logger.info(LOCAL_ONLY)
    tickets = Tickets(signing)
    return AccessControl(authenticator, Permissions(client, authenticator, tickets, security), tickets)
