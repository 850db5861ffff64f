"""The official Node SDK and the AI SDK, each in a process of Node of its own."""

import asyncio

import pytest

from tests.clients.conftest import NODE_HOME, Stack

DEADLINE_S = 60


async def run(node: str, stack: Stack, file: str, scenario: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(node, "scenario.mjs", file, scenario, stack.gateway, stack.hasty, stack.provider),
        cwd=NODE_HOME,
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


OPENAI = ["streams", "whole", "folding", "refusals", "failures", "retries", "abort", "watching", "models", "keepAlives"]


@pytest.mark.parametrize("scenario", OPENAI)
async def test_the_official_sdk_works_as_with_the_provider(node: str, stack: Stack, scenario: str) -> None:
    await run(node, stack, "openai.mjs", scenario)


@pytest.mark.parametrize("scenario", ["answer", "resume", "replay", "tools", "errors", "stop"])
async def test_the_chat_of_the_ai_sdk_works(node: str, stack: Stack, scenario: str) -> None:
    await run(node, stack, "ai.mjs", scenario)
