"""Viewers that read nothing harm nobody, cost little, are closed in time, and lose nothing."""

from pathlib import Path

import pytest

from tests.author import open_run
from tests.broker import Broker
from tests.crowd import NewCrowd
from tests.stack import Gateway, closing_all
from tests.viewers import until_nobody_watches

STALLED = 30
HEALTHY = 10
EVENT_BYTES = 20_000
EVENTS = 200
TAPE_LIMIT_BYTES = 1 << 20


def resident_bytes(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("protocol", ["direct", "httptools"])
async def test_viewers_that_read_nothing_are_disconnected_and_lose_nothing(
    workerless_broker: Broker, crowd_of: NewCrowd, protocol: str
) -> None:
    gateway = Gateway(
        workerless_broker.url,
        MANYCAST_HTTP_PROTOCOL=protocol,
        MANYCAST_SEND_TIMEOUT_S="1",
        MANYCAST_TAPE_LIMIT_BYTES=str(TAPE_LIMIT_BYTES),
    )
    async with open_run(workerless_broker.url) as run:
        with closing_all(gateway):
            url = f"{gateway.url}/v1/streams/{run.stream_id}/events"
            healthy = crowd_of(url, HEALTHY)
            stalled = crowd_of(url, STALLED, stalled=True, receive_buffer_bytes=1 << 15)
            await run.begin()
            healthy.read_until(lambda: healthy.everyone_has(b"event: start"))
            before = resident_bytes(gateway.process.pid)
            for at in range(EVENTS):
                await run.say(f"{at:06d}" + "x" * EVENT_BYTES)
                healthy.read(0)
            await run.end()
            healthy.read_until(lambda: healthy.everyone_is_through)
            whole = [f"1-{seq}" for seq in range(1, EVENTS + 3)]
            assert all(member.ids == whole for member in healthy.members)
            grown = resident_bytes(gateway.process.pid) - before
            # Four megabytes went by: a stalled viewer may hold what its transport holds, not what it has missed.
            assert grown < (STALLED + HEALTHY) * (300 << 10) + 4 * TAPE_LIMIT_BYTES, f"grew by {grown >> 20} MiB"

            # Those who are stalled have not read a byte.
            await until_nobody_watches(gateway.url)
            stalled.read_on()
            stalled.read_until(lambda: stalled.everyone_is_through)
            comebacks = []
            for member in stalled.members[:5]:
                had = member.ids
                back = crowd_of(url, 1, after=had[-1] if had else None)
                back.read_until(lambda back=back: back.everyone_is_through)
                comebacks.append(had + back.members[0].ids)
            assert comebacks == [whole] * 5
            # Where uvicorn owns the connection, it says this of every response that is given up.
            theirs = "ASGI callable returned without completing response"
            assert not [line for line in gateway.output.splitlines() if "ERROR" in line and theirs not in line]
            assert "Traceback" not in gateway.output
