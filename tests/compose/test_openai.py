"""OpenAI's own SDK against the stack, through Caddy, while a gateway is replaced under it."""

import asyncio
import json
import uuid

import httpx2
import openai

from tests.compose.conftest import GATEWAYS, WORKERS
from tests.compose.stack import Stack, docker

CLIENTS = 12
# Some four seconds: longer than the signal takes, shorter than a gateway may drain.
SLOW = {"simulator": {"chunks": 200, "chunks_per_s": 50, "first_chunk_ms": 100}}


async def count_chunks(sdk: openai.AsyncOpenAI, under_way: asyncio.Event) -> int:
    """Raises: whatever the SDK does where its answer is not whole."""
    stream = await sdk.chat.completions.create(
        model="demo-long", stream=True, messages=[{"role": "user", "content": "Count the ways"}], extra_body=SLOW
    )
    chunks = 0
    async for chunk in stream:
        chunks += 1
        under_way.set()
        finished = chunk.choices[0].finish_reason
    assert finished == "stop"
    return chunks


async def test_an_sdk_reads_on_while_its_gateway_is_stopped(stack: Stack) -> None:
    stopped = stack.containers("gateway")[0]
    under_way = [asyncio.Event() for _ in range(CLIENTS)]
    async with (
        openai.AsyncOpenAI(base_url=f"{stack.address()}/v1", api_key="any", max_retries=0) as sdk,
        # A reader that fails is told as what it is, not as the time-out of those who wait for it.
        asyncio.TaskGroup() as readers,
    ):
        reading = [readers.create_task(count_chunks(sdk, event)) for event in under_way]
        async with asyncio.timeout(60):
            await asyncio.gather(*(event.wait() for event in under_way))
        await asyncio.to_thread(docker, "kill", "--signal", "TERM", stopped)
    assert min(task.result() for task in reading) > 200
    await asyncio.to_thread(docker, "wait", stopped)
    await asyncio.to_thread(stack.up, GATEWAYS, WORKERS)


async def test_the_ai_sdks_calls_come_through(web: httpx2.AsyncClient) -> None:
    chat, user = uuid.uuid4().hex, {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    answer = await web.post("/api/chat", json={"id": chat, "messages": [user], "model": "demo-fast"})
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert answer.text.endswith("data: [DONE]\n\n")
    replayed = await web.get(f"/api/chat/{chat}/stream")
    assert texts_of(replayed.text) == texts_of(answer.text) != ""
    assert (await web.get(f"/api/chat/{uuid.uuid4().hex}/stream")).status_code == 204


def texts_of(parts: str) -> str:
    """The text in the parts of a response."""
    lines = [json.loads(line[6:]) for line in parts.splitlines() if line.startswith("data: {")]
    return "".join(line["delta"] for line in lines if line["type"] == "text-delta")
