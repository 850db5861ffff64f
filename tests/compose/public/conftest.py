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
    key, kept = make_key("tester")
    return Secrets(key, kept.model_dump_json(), f"open-{secrets.token_hex(8)}", secrets.token_hex(24))


@pytest.fixture(scope="package")
def site(stack: Stack, known: Secrets) -> Iterator[Stack]:
    """Under the name localhost, for which Caddy is its own authority. Afterwards the stack is as it was."""
    site = stack.set_up(
        SITE_ADDRESS="localhost",
        MANYCAST_PASSWORD=known.password,
        MANYCAST_KEYS=known.key_line,
        MANYCAST_SIGNING_KEYS=f"first:{known.signing}",
        MANYCAST_USER_HEADER="true",
    )
    site.up(2, 1)
    yield site
    stack.up(GATEWAYS, WORKERS)
