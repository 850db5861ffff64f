"""The simulator as users run it: `python -m simulator` in a process of its own, on a free port."""

import os
import signal
import subprocess
import sys
from typing import Any

import httpx2

DEADLINE_S = 60.0
WITHOUT_PAUSES = {"SIMULATOR_FIRST_CHUNK_MS": "0", "SIMULATOR_CHUNKS_PER_S": "0"}


def start(**environment: str) -> subprocess.Popen[str]:
    """In development mode, where warnings are errors."""
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-m", "simulator"],
        env={**os.environ, "SIMULATOR_PORT": "0", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Simulator:
    """A running simulator. `stop` must be called."""

    def __init__(self, **environment: str) -> None:
        self.process = start(**environment)
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        self.url = self.first_line.split()[-1] if self.first_line else ""

    def stop(self, stop_signal: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit code, standard output without its first line, standard error."""
        self.process.send_signal(stop_signal)
        output, errors = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, output, errors


def body(model: str, prompt: str = "How do I bake bread?", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}


async def counts_of(client: httpx2.AsyncClient, model: str) -> dict[str, int]:
    stats = (await client.get("/simulator/stats")).json()
    counts: dict[str, int] = stats["models"].get(model, {})
    return counts
