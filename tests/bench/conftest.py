"""The compiled programs of the bench, once for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.program import BenchError, compiled_programs


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    try:
        with compiled_programs() as built:
            yield built
    except BenchError as error:
        pytest.skip(str(error))
