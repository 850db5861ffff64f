"""What a viewer is told when the gateway does not accept it."""

import httpx2
import pytest

from contract.stream_id import new_stream_id
from gateway.app import Gateway as GatewayApp
from gateway.dialects.registry import DIALECTS
from gateway.settings import Settings

RESUMING = [name for name, new_dialect in DIALECTS.items() if new_dialect().resumes]


async def ask_a_stopping_gateway(dialect: str) -> httpx2.Response:
    """No server is needed: while it drains, a gateway answers before it asks Redis anything."""
    gateway = GatewayApp(Settings())
    gateway.drain()
    transport = httpx2.ASGITransport(app=gateway.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        path = f"/v1/streams/{new_stream_id(private=False)}/events"
        return await http.get(path, params={"dialect": dialect})


@pytest.mark.parametrize("dialect", sorted(set(DIALECTS) - set(RESUMING)))
async def test_a_stopping_gateway_says_so_to_viewers_that_cannot_resume(dialect: str) -> None:
    answer = await ask_a_stopping_gateway(dialect)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "gateway_stopping")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("dialect", RESUMING)
async def test_a_stopping_gateway_sends_viewers_that_resume_elsewhere(dialect: str) -> None:
    answer = await ask_a_stopping_gateway(dialect)
    assert (answer.status_code, answer.text) == (200, "retry: 1000\n")
