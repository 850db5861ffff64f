"""Who reads the logs cannot watch what they tell of."""

import httpx2

from contract.log_redaction import abbreviate
from tests.system.conftest import Stack, start_stream
from tests.viewers import read_events, until


async def test_logs_tell_of_a_run_by_the_beginning_of_its_id(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start_stream(http, stack, "demo-fast")
    await read_events(http, stack.events_url(stream_id))
    await until(lambda: f"run {abbreviate(stream_id)} epoch 1: completed" in stack.worker.output)
    assert not [part.name for part in (stack.worker, *stack.gateways) if stream_id in part.output]
