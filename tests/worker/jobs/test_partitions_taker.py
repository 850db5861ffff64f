"""Taking jobs from the partitions of several servers."""

import asyncio

from contract.connection import command_client
from contract.job_queue import Job, JobQueue
from contract.keys import KeySpace
from tests.broker import Broker
from worker.generations.generation import Generation
from worker.generations.pool import GenerationPool
from worker.jobs.connectivity import Connectivity
from worker.jobs.partitions_taker import PartitionsTaker
from worker.jobs.taker import Intake

PARTITIONS = 4


def refuse(job: Job) -> Generation:
    raise AssertionError(f"nobody submitted {job}")


async def test_an_absence_of_one_of_several_servers_is_a_break_for_all_leases(
    broker: Broker, fragile_broker: Broker
) -> None:
    # Other tests leave jobs on this broker.
    client = command_client(f"{broker.url},{fragile_broker.url}", KeySpace("taker"))
    connectivity, pool = Connectivity(60.0), GenerationPool(1, refuse)
    taker = PartitionsTaker(Intake(JobQueue(client, 60_000), pool, connectivity, "w", lease_s=0.1), PARTITIONS)

    def is_heard() -> bool:
        return connectivity.lasted_s(asyncio.get_running_loop().time() + 1) > 0

    fragile_broker.stop()
    await taker.take()
    assert not is_heard()
    fragile_broker.start()
    async with asyncio.timeout(60):
        while not is_heard():
            await taker.take()
    await client.aclose()
