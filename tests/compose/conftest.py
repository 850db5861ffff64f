"""The real stack, once for this folder: three gateways and two workers. It leaves nothing behind."""

import shutil
from collections.abc import AsyncIterator, Iterator
from hashlib import sha1
from pathlib import Path

import httpx2
import pytest
from pytest_docker.plugin import Services

from manycast.chaos.examples import read_blocks
from tests.compose.report import pytest_runtest_makereport  # noqa: F401 -- a hook: found by its name
from tests.compose.stack import COMPOSE_FILE, Stack, lacking_engine
from tests.house.tree import ROOT

GREETING = Path(__file__).with_name("scripts") / "greeting.py"
GATEWAYS = 3
WORKERS = 2


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    return str(COMPOSE_FILE)


@pytest.fixture(scope="session")
def docker_compose_project_name() -> str:
    """The same for every run in this clone: what a killed run left is cleared away by the next."""
    return f"manycast-test-{sha1(str(ROOT).encode(), usedforsecurity=False).hexdigest()[:8]}"


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    """Nothing: pytest-docker does not clean up after a set-up that fails, so `stack` starts it in its own body."""
    return []


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    return ["down --volumes --remove-orphans --rmi local --timeout 5"]


@pytest.fixture(scope="session")
def empty_project(docker_compose_project_name: str) -> Iterator[Stack]:
    """The project before anything runs in it; fails if, at the very end, something is left of it."""
    if reason := lacking_engine():
        pytest.skip(reason)
    stack = Stack(docker_compose_project_name)
    stack.clear()
    yield stack
    assert stack.leftovers() == []


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tests' script and the examples of docs/scripts.md, readable for the workers' user."""
    folder = tmp_path_factory.mktemp("scripts")
    shutil.copy(GREETING, folder)
    for name, block in read_blocks().items():
        (folder / f"{name}.py").write_text(block)
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def stack(empty_project: Stack, docker_services: Services, scripts: Path) -> Stack:
    """The stack, up and healthy. `docker_services` takes it down."""
    stack = empty_project.set_up(MANYCAST_SCRIPTS=str(scripts))
    stack.build()
    stack.up(GATEWAYS, WORKERS)
    return stack


@pytest.fixture
async def web(stack: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the published address; every request on a connection of its own, so that each is balanced."""
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=stack.address(), limits=limits, timeout=30) as client:
        yield client
