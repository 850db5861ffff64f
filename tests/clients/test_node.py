"""The official Node SDK, in a process of Node of its own."""

import json

import pytest

from simulator.quirks import QUIRKS
from tests.clients.conftest import NODE_HOME, Stack, run_program

OPENAI = [
    "streams",
    "keptConnection",
    "whole",
    "folding",
    "quirks",
    "refusals",
    "failures",
    "retries",
    "abort",
    "watching",
    "models",
    "keepAlives",
    "passThrough",
]


@pytest.mark.parametrize("scenario", OPENAI)
async def test_the_official_sdk_works_as_with_the_provider(node: str, stack: Stack, scenario: str) -> None:
    addresses = (stack.gateway, stack.hasty, stack.provider)
    quirks = json.dumps([quirk.model for quirk in QUIRKS.values()])
    await run_program(node, "scenario.mjs", "openai.mjs", scenario, *addresses, quirks, cwd=NODE_HOME)
