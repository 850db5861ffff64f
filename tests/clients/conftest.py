"""The real stack for clients by others, and the provider itself to compare with."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from tests.broker import Broker, valkey_binary
from tests.packages import install_apart, install_node_packages
from tests.stack import ROOT, Gateway, Simulator, Worker, closing_all

NODE_HOME = Path(__file__).parent / "node"
"""The folder of the Node programs and their packages."""
PYTHON_HOME = Path(__file__).parent / "python"
"""The folder of the Python programs, and of the pins of packages that only they use."""
InstallPins = Callable[[str], Path]

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PROGRAM_DEADLINE_S = 120


@dataclass(frozen=True)
class Stack:
    """Addresses. `gateway` and `provider` answer the same calls; `hasty` sends its status after a moment."""

    gateway: str
    hasty: str
    provider: str
    redis: str


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """A broker, a gateway, a worker that is impatient with models that stall, and the simulator at its quickest."""
    broker = Broker(valkey_binary())
    simulator = Simulator(SIMULATOR_FIRST_CHUNK_MS="0", SIMULATOR_CHUNKS_PER_S="500")
    patience = {
        "MANYCAST_FIRST_CHUNK_TIMEOUTS": "fault-stall-*=1",
        "MANYCAST_CHUNK_TIMEOUTS": "fault-stall-*=1",
        "MANYCAST_PROVIDER_RETRIES": "0",
    }
    worker = Worker(broker.url, simulator.url, **patience)
    gateway = Gateway(broker.url, MANYCAST_PING_INTERVAL_S="0.2")
    hasty = Gateway(broker.url, MANYCAST_PING_INTERVAL_S="0.2", MANYCAST_HEAD_WAIT_S="0.1")
    with closing_all(gateway, hasty, worker, simulator):
        yield Stack(gateway.url, hasty.url, simulator.url, broker.url)
    broker.close()


@pytest.fixture
async def ours(stack: Stack) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK with nothing changed but its base URL. (No retries: a test asks for them where it wants them.)"""
    async with openai.AsyncOpenAI(base_url=f"{stack.gateway}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def theirs(stack: Stack) -> AsyncIterator[openai.AsyncOpenAI]:
    """The same SDK at the provider itself."""
    async with openai.AsyncOpenAI(base_url=f"{stack.provider}/v1", api_key="any", max_retries=0) as client:
        yield client


async def run_program(*command: str, cwd: Path = ROOT) -> str:
    """Runs a program to its end, which must be a success. Returns its output and errors."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LANGSMITH_TRACING": "false"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(PROGRAM_DEADLINE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.fixture(scope="session")
def node() -> str:
    return install_node_packages(NODE_HOME)


@pytest.fixture(scope="session")
def install_pins() -> InstallPins:
    """Installs the packages of `python/NAME.txt` once. Returns their folder."""
    return lambda name: install_apart(PYTHON_HOME / f"{name}.txt")
