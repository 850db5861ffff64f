"""Drives Debian's Firefox by WebDriver BiDi, over a WebSocket. Playwright needs a Firefox of its own."""

import asyncio
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from manycast.local_stack.port import free_port
from tests.stack import DEADLINE_S, Process, closing_all

MESSAGE_LIMIT_BYTES = 1 << 24
PREFERENCES = """user_pref("network.manage-offline-status", false);
user_pref("network.notify.changed", false);
"""
"""Containers of other tests change the machine's network interfaces, and Firefox then ends an EventSource that connects
again."""


class Firefox:
    """A browser without a window. `on_console` gets the text of every `console.log` of every tab."""

    def __init__(self, socket: ClientConnection, on_console: Callable[[str], None]) -> None:
        self._socket = socket
        self._on_console = on_console
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def listen(self) -> None:
        """Receives until the connection closes."""
        async for text in self._socket:
            message = json.loads(text)
            if message.get("method") == "log.entryAdded":
                self._on_console(message["params"]["text"] or "")
            elif message.get("id") in self._answers:
                self._answers.pop(message["id"]).set_result(message)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result. Raises: AssertionError with the browser's words."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(DEADLINE_S):
            message = await self._answers[number]
        assert message["type"] == "success", message
        result: dict[str, Any] = message["result"]
        return result

    async def open_tab(self, url: str) -> str:
        """Returns the tab's id. Does not wait for the page."""
        tab = await self.call("browsingContext.create", type="tab")
        await self.go(tab["context"], url)
        return str(tab["context"])

    async def go(self, tab: str, url: str) -> None:
        await self.call("browsingContext.navigate", context=tab, url=url, wait="none")

    async def evaluate(self, tab: str, expression: str) -> Any:
        """The value of an expression in the tab's page: a text, a number or a boolean; None for anything else."""
        answer = await self.call(
            "script.evaluate", expression=expression, target={"context": tab}, awaitPromise=True, userActivation=True
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value")

    async def press(self, tab: str, keys: str) -> None:
        """Types on the keyboard. `\\ue007` is Enter."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        await self.call("input.performActions", context=tab, actions=[{"type": "key", "id": "k", "actions": actions}])


def find_firefox() -> str | None:
    return shutil.which("firefox-esr") or shutil.which("firefox")


@asynccontextmanager
async def open_firefox(binary: str, profile: Path, on_console: Callable[[str], None]) -> AsyncIterator[Firefox]:
    port = free_port()
    (profile / "user.js").write_text(PREFERENCES)
    command = [binary, "--headless", "--no-remote", "--profile", str(profile), f"--remote-debugging-port={port}"]
    process = Process("firefox", command, profile)
    with closing_all(process):
        socket = await _connect(process, port)
        firefox = Firefox(socket, on_console)
        listening = asyncio.create_task(firefox.listen())
        await firefox.call("session.new", capabilities={})
        await firefox.call("session.subscribe", events=["log.entryAdded"])
        yield firefox
        await firefox.call("browser.close")
        listening.cancel()
        await socket.close()


async def _connect(process: Process, port: int) -> ClientConnection:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            assert process.process.poll() is None, process.output
            try:
                return await connect(f"ws://127.0.0.1:{port}/session", max_size=MESSAGE_LIMIT_BYTES)
            except OSError:
                await asyncio.sleep(0.05)
