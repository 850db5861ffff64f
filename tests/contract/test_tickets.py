"""What gateways agree on for tickets: one secret, however many ask at once, and a count of revocations."""

import asyncio

from contract.connection import Client
from contract.run_record import read_run
from contract.stream_id import is_private, is_stream_id, new_stream_id
from contract.tickets import revoke_tickets, share_secret
from tests.contract.store import ChannelReader, Store
from tests.redis_keys import stream_keys


async def test_gateways_that_start_together_get_one_secret(any_client: Client) -> None:
    secrets = await asyncio.gather(*(share_secret(any_client, f"secret {number}") for number in range(10)))
    assert len(set(secrets)) == 1
    assert await share_secret(any_client, "late") == secrets[0]


async def test_a_revocation_is_counted_and_told(store: Store) -> None:
    stream_id = await store.submit()
    async with ChannelReader.on(store.url, stream_keys(stream_id).live) as reader:
        assert await revoke_tickets(store.client, stream_id) == 1
        assert await revoke_tickets(store.client, stream_id) == 2
        assert await reader.received() == [b"!\nrevoked 1", b"!\nrevoked 2"]
    record = await read_run(store.client, stream_id)
    assert record is not None
    assert record.revoked == 2


async def test_revoking_a_missing_stream_fails_and_creates_nothing(store: Store) -> None:
    assert await revoke_tickets(store.client, "s_nowhere_nowhere_nowhere") is None
    assert await read_run(store.client, "s_nowhere_nowhere_nowhere") is None


def test_an_id_says_whether_its_stream_is_private() -> None:
    private, unlisted = new_stream_id(private=True), new_stream_id(private=False)
    assert is_private(private)
    assert not is_private(unlisted)
    assert is_stream_id(private)
    assert is_stream_id(unlisted)
    assert len({new_stream_id(private=True) for _ in range(1000)}) == 1000
