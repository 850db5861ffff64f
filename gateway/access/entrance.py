"""The doorkeeper and the rights of one gateway, put together from its settings."""

import logging
from typing import NamedTuple

from contract.connection import Client
from gateway.access.api_keys import KeyRing
from gateway.access.doorkeeper import ONLY_HERE, Doorkeeper, House
from gateway.access.rights import Rights
from gateway.access.sign_ins import SignIns
from gateway.access.signing import Signing, parse_secrets
from gateway.access.tickets import Tickets
from gateway.access.visitor import Proxies
from gateway.settings import Settings

logger = logging.getLogger(__name__)


class Entrance(NamedTuple):
    """Who may start runs, and who may do what with one."""

    door: Doorkeeper
    rights: Rights


def open_entrance(client: Client, settings: Settings) -> Entrance:
    """Says in the log where only this machine is let in."""
    signing = Signing(client, parse_secrets(settings.signing_keys))
    keys = KeyRing(settings.keys, settings.keys_file)
    house = House(
        proxies=Proxies(settings.trusted_proxies),
        published_on=settings.published_on,
        trusts_user_header=settings.user_header,
        per_minute=settings.requests_per_minute,
    )
    door = Doorkeeper(client, keys, SignIns(signing, keys, settings.password, settings.sign_in_s), house)
    if door.is_local:
        logger.info(ONLY_HERE)
    return Entrance(door, Rights(client, door, Tickets(signing)))
