"""Parts that the tests of the command share."""

from collections.abc import AsyncIterator

import pytest

from tests.manycast.stage import Stage, open_stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with open_stage() as stage:
        yield stage
