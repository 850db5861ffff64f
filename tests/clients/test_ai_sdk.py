"""The AI SDK in the versions that docs/use-it-with.md names, each with its own code and a real gateway."""

from pathlib import Path

import pytest

from tests.clients.conftest import Stack, install_packages, run_node

HOME = Path(__file__).parent / "ai_sdk"
VERSIONS = ["5.0.0", "5", "6", "7"]


@pytest.fixture(scope="session")
def node() -> str:
    return install_packages(HOME)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_chat_of_the_ai_sdk_works(node: str, stack: Stack, version: str) -> None:
    await run_node(node, "chat.mjs", version, stack.gateway, cwd=HOME)
