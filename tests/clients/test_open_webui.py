"""The real Open WebUI: its Stop stops the run, and its provider.

Its backend reads the stream in a task. Stop cancels this task, which closes the connection to us, and sends nothing.
"""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from manycast.local_stack.port import free_port
from tests.broker import Broker, valkey_binary
from tests.packages import install_for
from tests.stack import Gateway, Process, Simulator, Worker, closing_all

HOME = Path(__file__).parent / "open_webui"
START_S = 180
"""On two cores it takes forty seconds."""
DEADLINE_S = 60
SETTINGS = {
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "x",
    "OPENAI_API_KEY": "any",
    "ENABLE_OLLAMA_API": "False",
    "ENABLE_PERSISTENT_CONFIG": "False",
    "ENABLE_VERSION_UPDATE_CHECK": "False",
    # It would ask the model for a title, tags and further questions.
    "ENABLE_TITLE_GENERATION": "False",
    "ENABLE_TAGS_GENERATION": "False",
    "ENABLE_FOLLOW_UP_GENERATION": "False",
    # Models on this machine are the largest part of its packages, and are left out.
    "RAG_EMBEDDING_ENGINE": "openai",
    "AUDIO_STT_ENGINE": "openai",
    "OFFLINE_MODE": "True",
    "HF_HUB_OFFLINE": "1",
    "ANONYMIZED_TELEMETRY": "False",
}


@pytest.fixture(scope="module")
def program() -> Path:
    """Open WebUI in an environment of its own, which is kept: its packages have other versions than ours."""
    if sys.version_info >= (3, 13):
        pytest.skip("Open WebUI does not support this version of Python")
    environment, pins = HOME / ".venv", HOME / "pins.txt"
    installed = environment / ".installed"
    if not installed.exists() or installed.read_text() != pins.read_text():
        if os.environ.get("MANYCAST_REQUIRE") != "all":
            pytest.skip("it installs a gigabyte: set MANYCAST_REQUIRE=all for this suite")
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", environment], check=True)
        if failed := install_for(environment / "bin" / "python", pins):
            pytest.skip(f"Open WebUI could not be installed: {failed}")
        installed.write_text(pins.read_text())
    return environment / "bin" / "open-webui"


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker(valkey_binary())
    yield broker
    broker.close()


@pytest.fixture
async def web_ui(program: Path, broker: Broker, tmp_path: Path) -> AsyncIterator[tuple[httpx2.AsyncClient, str, str]]:
    """A client of Open WebUI, and the addresses of our gateway and its provider, whose answers take minutes."""
    simulator = Simulator(SIMULATOR_CHUNKS_PER_S="5")
    worker = Worker(broker.url, simulator.url, MANYCAST_LEASE_S="3")
    gateway = Gateway(broker.url, MANYCAST_ABANDON_AFTER_S="2", MANYCAST_LIST_RUNS="1")
    with closing_all(gateway, worker, simulator):
        port = str(free_port())
        command = [str(program), "serve", "--host", "127.0.0.1", "--port", port]
        addresses = {"OPENAI_API_BASE_URL": f"{gateway.url}/v1", "DATA_DIR": str(tmp_path)}
        process = Process("open-webui", command, tmp_path, **SETTINGS, **addresses)
        with closing_all(process):
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                await until_healthy(http, process)
                token = (await http.post("/api/v1/auths/signin", json={"email": "", "password": ""})).json()["token"]
                http.headers["Authorization"] = f"Bearer {token}"
                yield http, gateway.url, simulator.url


async def until_healthy(http: httpx2.AsyncClient, process: Process) -> None:
    async with asyncio.timeout(START_S):
        while True:
            assert process.process.poll() is None, process.output
            try:
                if (await http.get("/health")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.2)


async def ask(http: httpx2.AsyncClient) -> str:
    """Asks as its page does: the answer is for a chat and goes through a web socket. Returns the task's id."""
    assert "demo-long" in [model["id"] for model in (await http.get("/api/models")).json()["data"]]
    chat = {"title": "t", "models": ["demo-long"], "messages": [], "history": {"messages": {}, "currentId": None}}
    chat_id = (await http.post("/api/v1/chats/new", json={"chat": chat})).json()["id"]
    question = {"role": "user", "content": "Tell me about rivers"}
    body = {"model": "demo-long", "stream": True, "messages": [question], "params": {}}
    page = {"chat_id": chat_id, "id": str(uuid.uuid4()), "session_id": "page", "parent_id": None}
    answer = await http.post("/api/chat/completions", json={**body, **page})
    task_id: str = answer.json()["task_ids"][0]
    return task_id


async def test_stop_stops_the_run_at_the_provider(web_ui: tuple[httpx2.AsyncClient, str, str]) -> None:
    http, gateway, provider = web_ui

    async def requests() -> dict[str, int]:
        async with httpx2.AsyncClient() as client:
            found: dict[str, int] = (await client.get(f"{provider}/simulator/stats")).json()["models"]["demo-long"]
            return found

    async def runs() -> list[dict[str, Any]]:
        async with httpx2.AsyncClient() as client:
            found: list[dict[str, Any]] = (await client.get(f"{gateway}/v1/streams")).json()["data"]
            return found

    task_id = await ask(http)
    async with asyncio.timeout(DEADLINE_S):
        while not (listed := await runs()) or int(listed[0]["position"].split("-")[1]) < 5:
            await asyncio.sleep(0.1)
    assert (await requests())["open"] == 1

    stopped = await http.post(f"/api/tasks/stop/{task_id}")
    assert stopped.json()["status"] is True
    async with asyncio.timeout(DEADLINE_S):
        while (await requests())["open"] or (await runs())[0]["status"] == "running":
            await asyncio.sleep(0.1)
    assert (await requests())["aborted"] == 1
    assert [run["status"] for run in await runs()] == ["cancelled"]
