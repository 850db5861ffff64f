"""Headers and query fields of an app's own SDK, through gateway and worker, to a real provider."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest

from tests.broker import Broker
from tests.stack import ROOT, Gateway, Worker, closing_all
from tests.worker.raw_provider import RawProvider, raw_provider, sends

ANSWER = sends(
    b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"
)
OURS = {"HTTP-Referer": "https://app.example.com", "X-Title": "My app", "Cookie": "secret", "X-Other": "no"}


@asynccontextmanager
async def app(
    broker: Broker, provider: RawProvider, table: Path | None = None, **gateway_settings: str
) -> AsyncIterator[openai.AsyncOpenAI]:
    settings = {} if table is None else {"MANYCAST_PROVIDERS": str(table)}
    worker = Worker(broker.url, provider.base_url.removesuffix("/v1"), **settings)
    gateway = Gateway(broker.url, **gateway_settings)
    client = openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1",
        api_key="the-app's-own",
        organization="org-1",
        project="proj-1",
        default_headers=OURS,
        default_query={"api-version": "7", "tag": "a b&c", "other": "no"},
        max_retries=0,
    )
    with closing_all(gateway, worker):
        async with client:
            yield client


async def ask(client: openai.AsyncOpenAI) -> str | None:
    completion = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    return completion.choices[0].message.content


async def test_by_default_the_name_of_the_app_passes_and_nothing_else(fragile_broker: Broker) -> None:
    async with raw_provider(ANSWER) as provider, app(fragile_broker, provider) as client:
        assert await ask(client) == "Hi"
    head = provider.heads[-1].lower()
    assert "\r\nhttp-referer: https://app.example.com\r\n" in head
    assert "\r\nx-title: my app\r\n" in head
    for word in ("org-1", "proj-1", "secret", "x-other", "own", "?", "manycast"):
        assert word not in head
    assert b"manycast" not in provider.bodies[-1]


async def test_what_both_lists_name_passes_and_the_values_of_the_operator_stay(
    fragile_broker: Broker, tmp_path: Path
) -> None:
    async with raw_provider(ANSWER) as provider:
        table = tmp_path / "providers.toml"
        table.write_text(f"""
            [providers.one]
            azure = true
            base_url = "{provider.base_url.removesuffix("/v1")}"
            api_version = "2024"
            models = ["*"]
            headers = {{ "x-title" = "The operator's" }}
            passed_headers = ["X-Title", "openai-organization", "X-Unlisted"]
            passed_query = ["api-version", "tag", "missing"]
        """)
        settings = {"MANYCAST_PASSED_QUERY": "tag, api-version, other"}
        async with app(fragile_broker, provider, table, **settings) as client:
            assert await ask(client) == "Hi"
    head = provider.heads[-1].lower()
    assert head.split()[1].partition("?")[2].split("&") == ["api-version=2024", "tag=a+b%26c"]
    assert "\r\nx-title: the operator's\r\n" in head
    assert "\r\nopenai-organization: org-1\r\n" in head
    for word in ("proj-1", "secret", "http-referer", "my app", "other"):
        assert word not in head


@pytest.mark.parametrize("name", ["X-Title,Authorization", "X Y"])
def test_a_gateway_refuses_to_pass_credentials(name: str) -> None:
    told = refusal_of(MANYCAST_PASSED_HEADERS=name)
    assert told.startswith(f"gateway: MANYCAST_PASSED_HEADERS={name}: ")
    assert told.count("\n") == 1


def refusal_of(**settings: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway"],
        cwd=ROOT,
        env=settings,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr
