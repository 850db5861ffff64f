"""The stack as it is for others, once for this folder: under a name, with a key, a password and names from proxies."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gateway.access.api_keys import make_key
from tests.compose.conftest import GATEWAYS, WORKERS
from tests.compose.stack import Stack


@dataclass(frozen=True)
class Secrets:
    """The secrets of the deployment."""

    key: str
    key_line: str
    password: str
    signing: str


@pytest.fixture(scope="package")
def known() -> Secrets:
    key, kept = make_key("tester", requests_per_minute=0, runs_at_once=0)
    return Secrets(key, kept.model_dump_json(), f"open-{secrets.token_hex(8)}", secrets.token_hex(24))


@pytest.fixture(scope="package")
def site(stack: Stack, known: Secrets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Under the name localhost, for which Caddy is its own authority. Afterwards the stack is as it was."""
    folder = tmp_path_factory.mktemp("secrets")
    (password := folder / "password").write_text(f"{known.password}\n")
    (signing := folder / "signing").write_text(f"first:{known.signing}\n")
    # The gateway's user reads them.
    password.chmod(0o644)
    signing.chmod(0o644)
    site = stack.set_up(
        SITE_ADDRESS="localhost",
        MANYCAST_PASSWORD_FILE=str(password),
        MANYCAST_KEYS=known.key_line,
        MANYCAST_SIGNING_KEYS_FILE=str(signing),
        MANYCAST_USER_HEADER="true",
    )
    site.up(2, 1)
    yield site
    stack.up(GATEWAYS, WORKERS)
