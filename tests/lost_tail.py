"""What a failover of Redis to a replica that lacked the latest writes does to the log of a run, and what follows."""

from contract.connection import Client, call_redis
from contract.stream_log import Batch
from tests.author import RETENTION_MS, Run
from tests.redis_keys import stream_keys


async def lose_tail(client: Client, run: Run, keep: int) -> None:
    """Leaves the log's first `keep` entries. Its last id goes back as well, so that the others can be written again."""
    keys = stream_keys(run.stream_id)
    kept = await call_redis(client, "XRANGE", keys.log, "-", "+", "COUNT", keep)
    shorter = keys.log + ":shorter"
    for name, fields in kept:
        await call_redis(client, "XADD", shorter, name.decode(), "e", fields[b"e"])
    await call_redis(client, "PEXPIRE", shorter, RETENTION_MS)
    await call_redis(client, "HSET", keys.meta, "last", kept[-1][0].decode())
    await call_redis(client, "RENAME", shorter, keys.log)


async def write_again(run: Run, keep: int) -> None:
    """The worker lives, and writes what the log lacks after its first `keep` entries."""
    await run.author.write(Batch(run.stream_id, run.claim.epoch, keep + 1, run.lines[keep:]))
