"""One round trip carries the lines of many runs: none of them may delay the others."""

import asyncio

from contract.connection import command_client
from contract.event import Status
from contract.stream_log import StreamLog
from tests.contract.store import RETENTION_MS, Store, chunk_lines, done_line
from tests.topologies import sentinel_group
from worker.generations.outbox import Outbox
from worker.generations.publisher import Publisher

DEADLINE_S = 60.0


async def test_an_end_that_waits_for_a_replica_delays_no_chunk_of_another_run() -> None:
    with sentinel_group() as group:
        client = command_client(group.url)
        store = await Store.on(group.url, client, client)
        publisher = Publisher(StreamLog(client, RETENTION_MS), 1 << 20)
        outboxes = []
        for _ in range(2):
            job, claim = await store.start()
            outboxes.append(Outbox(job.stream_id, claim.epoch, 1, job.entry, on_write_status=lambda _: None))
        ending, other = outboxes
        group.replica().kill()
        writing = asyncio.create_task(publisher.run())
        async with asyncio.timeout(DEADLINE_S):
            ending.end(Status.COMPLETED, done_line())
            publisher.send(ending)
            while await store.kinds(ending.stream_id) != ["done"]:
                await asyncio.sleep(0.01)
            other.put(chunk_lines("a")[0])
            publisher.send(other)
            await publisher.confirmed(other)
            assert not ending.has_ended
            await publisher.settled(ending)
            assert ending.has_ended
        writing.cancel()
        await asyncio.wait([writing])
        await client.aclose()
