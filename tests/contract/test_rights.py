"""What the user of Redis may not do with channels is told at the start."""

import pytest

from contract.connection import Client, call_redis, command_client
from contract.rights import find_missing_rights, needed_rights
from tests.broker import Broker
from tests.stack import Gateway, Simulator, Worker, closing_all
from tests.viewers import until


async def narrow_url(client: Client, broker: Broker, *rights: str) -> str:
    await call_redis(client, "ACL", "SETUSER", "narrow", "reset", "on", ">pw", "~*", "+@all", *rights)
    return broker.url.replace("redis://", "redis://narrow:pw@")


@pytest.mark.parametrize(
    ("rights", "missing"),
    [
        (("&*",), []),
        (("resetchannels",), ["PUBLISH", "SUBSCRIBE", "PUBLISH", "SUBSCRIBE"]),
        (("resetchannels", "&mc:{shared}:*"), ["PUBLISH", "SUBSCRIBE"]),
        (("&*", "-subscribe"), ["SUBSCRIBE", "SUBSCRIBE"]),
    ],
)
async def test_missing_rights_are_found_before_they_are_needed(
    fragile_broker: Broker, rights: tuple[str, ...], missing: list[str]
) -> None:
    admin = command_client(fragile_broker.url)
    client = command_client(await narrow_url(admin, fragile_broker, *rights))
    found = await find_missing_rights(client, needed_rights(client))
    assert [one.partition(" ")[0] for one in found] == missing
    await client.aclose()
    await admin.aclose()


async def test_each_service_says_at_its_start_which_rights_it_lacks(fragile_broker: Broker) -> None:
    admin = command_client(fragile_broker.url)
    url = await narrow_url(admin, fragile_broker, "resetchannels")
    simulator = Simulator()
    parts = [Gateway(url), Worker(url, simulator.url)]
    with closing_all(*parts, simulator):
        for part in parts:
            await until(lambda part=part: "lacks the right to PUBLISH mc:{p00}:" in part.output)
            assert f"Redis: one server, 127.0.0.1:{fragile_broker.port}" in part.output
            assert "narrow:pw" not in part.output
    await admin.aclose()
