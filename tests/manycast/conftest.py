"""Fixtures that the tests of the command share."""

from collections.abc import AsyncIterator

import pytest

from tests.manycast.scripted_server import ScriptedServer, open_scripted_server


@pytest.fixture
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    async with open_scripted_server() as scripted_server:
        yield scripted_server
