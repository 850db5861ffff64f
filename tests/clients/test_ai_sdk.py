"""The AI SDK in the versions that docs/use-it-with.md names, each with its own code and a real gateway."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_hex

import httpx2
import pytest

from contract.connection import blocking_client, command_client
from contract.event import Status
from manycast.chaos.examples import read_examples
from tests.author import Author
from tests.broker import Broker, valkey_binary
from tests.clients.conftest import Stack, run_program
from tests.gateway.fanout.recording import USAGE, attempt, chunk_of, done
from tests.packages import install_node_packages
from tests.stack import Gateway, Simulator, Worker, closing_all

HOME = Path(__file__).parent / "ai_sdk"
VERSIONS = ["5.0.0", "5", "6", "7"]


@pytest.fixture(scope="session")
def node() -> str:
    return install_node_packages(HOME)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_chat_of_the_ai_sdk_works(node: str, stack: Stack, version: str) -> None:
    await run_program(node, "chat.mjs", version, stack.gateway, cwd=HOME)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of a stack with the script of docs/scripts.md whose tool asks before it acts."""
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "secretary.py").write_text(read_examples()["secretary"])
    broker, simulator = Broker(valkey_binary()), Simulator(SIMULATOR_FIRST_CHUNK_MS="0", SIMULATOR_CHUNKS_PER_S="500")
    worker = Worker(broker.url, simulator.url, MANYCAST_SCRIPTS=str(folder))
    gateway = Gateway(broker.url)
    with closing_all(gateway, worker, simulator):
        yield gateway
    broker.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_page_shows_what_a_script_asks_and_answers_it(node: str, asking: Gateway, version: str) -> None:
    await run_program(node, "question.mjs", version, asking.url, cwd=HOME)


@pytest.fixture(scope="module")
def gateway(workerless_broker: Broker) -> Iterator[Gateway]:
    gateway = Gateway(workerless_broker.url)
    yield gateway
    gateway.close()


@pytest.fixture
async def author(workerless_broker: Broker) -> AsyncIterator[Author]:
    client, blocking = command_client(workerless_broker.url), blocking_client(workerless_broker.url)
    yield Author(client, blocking)
    await client.aclose()
    await blocking.aclose()


SIGNED = {"google": {"thought_signature": "x"}}
CALL = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}, "extra_content": SIGNED}
BAD_CALL = {"index": 1, "id": "b", "function": {"name": "weather", "arguments": '{"city":NaN}'}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
# Every kind of part that the gateway writes.
FIRST_STEP = [
    chunk_of({"reasoning_content": "Let me see"}, citations=["https://a.test"]),
    chunk_of({"content": "One moment.", "images": [IMAGE]}),
    chunk_of({"audio": {"id": "a", "data": "AA==", "transcript": " Listen."}}),
    chunk_of({"tool_calls": [CALL, BAD_CALL]}, "tool_calls"),
]


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_version_accepts_every_part_and_sends_back_what_the_provider_wants(
    node: str, gateway: Gateway, author: Author, version: str
) -> None:
    chat = token_hex(8)
    question = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "The weather?"}]}
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=60) as http:
        asking = asyncio.create_task(http.post("/api/chat", json={"id": chat, "messages": [question]}))
        run = await author.take()
        await run.write([*attempt(FIRST_STEP), done()], Status.COMPLETED)
        assert (await asking).status_code == 200
    page = asyncio.create_task(run_program(node, "back.mjs", version, gateway.url, chat, cwd=HOME))
    run = await author.take(within_s=30)
    at, kind, last = done()
    await run.write(
        [*attempt([chunk_of({"content": "It is 20 degrees."}, "stop")]), (at, kind, {**last, "usage": USAGE})],
        Status.COMPLETED,
    )
    message = json.loads(await page)
    assert [part["type"] for part in message["parts"]] == [
        *("step-start", "source-url", "reasoning", "text", "file", "tool-weather", "tool-weather", "step-start", "text")
    ]
    assert [part["state"] for part in message["parts"] if part["type"] == "tool-weather"] == [
        "output-available",
        "output-error",
    ]
    assert message["metadata"] == {
        "finishReason": "stop",
        "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
    }
    _, asked, *results = json.loads(run.claim.request)["messages"]
    assert asked["reasoning_content"] == "Let me see"
    assert asked["content"] == "One moment. Listen."
    assert message["heard"] == [{"id": "a", "data": "AA=="}]
    assert [call.get("extra_content") for call in asked["tool_calls"]] == [SIGNED, None]
    assert [each["tool_call_id"] for each in results] == ["a", "b"]
