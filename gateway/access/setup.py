"""The doorkeeper and the rights of one gateway, put together from its settings."""

import logging
from pathlib import Path
from typing import NamedTuple

from contract.connection import Client
from gateway.access.api_keys import KeyRing
from gateway.access.authenticator import ONLY_HERE, Doorkeeper, House
from gateway.access.permissions import Rights
from gateway.access.request_source import Proxies
from gateway.access.sessions import SignIns
from gateway.access.signing import Signing, parse_secrets
from gateway.access.tickets import Tickets

logger = logging.getLogger(__name__)


class Entrance(NamedTuple):
    """Who may start runs, and who may do what with one."""

    door: Doorkeeper
    rights: Rights


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


def open_entrance(client: Client, options: AccessOptions) -> Entrance:
    """Logs a line when only this computer may start runs. Raises: ValueError for an option that cannot be parsed."""
    signing = Signing(client, parse_secrets(options.signing_keys))
    keys = KeyRing(options.keys, options.keys_file)
    house = House(
        proxies=Proxies(options.trusted_proxies),
        published_on=options.published_on,
        trusts_user_header=options.trusts_user_header,
        per_minute=options.requests_per_minute,
    )
    door = Doorkeeper(client, keys, SignIns(signing, keys, options.password, options.sign_in_s), house)
    if door.is_local:
        logger.info(ONLY_HERE)
    return Entrance(door, Rights(client, door, Tickets(signing)))
