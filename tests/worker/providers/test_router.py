"""Several providers, each a real server: which one is asked, with what, and what happens if it fails."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.errors import RunError, RunFailedError
from manycast.local_stack.port import free_port
from tests.stack import Simulator
from tests.worker.raw_provider import Answer, RawProvider, drops, hangs, raw_provider, refuses, sends
from tests.worker.runs import until
from worker.providers.router import ProviderRouter, open_source
from worker.providers.source import END, ChunkTimeout, SourceNotFoundError
from worker.settings import Settings

SECRET = "sk-do-not-show"
DONE = b"data: [DONE]\n\n"
BUSY = refuses("503 Busy", b"{}")


def says(text: str) -> Answer:
    chunk = {"id": "1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
    return sends(b"data: " + json.dumps(chunk).encode() + b"\n\n", DONE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the table of a test is, with settings in which nothing takes long."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MANYCAST_PROVIDERS", str(tmp_path / "providers.toml"))
    monkeypatch.setenv("MANYCAST_PROVIDER_RETRIES", "0")
    return tmp_path


@asynccontextmanager
async def routed(folder: Path, table: str) -> AsyncIterator[ProviderRouter]:
    (folder / "providers.toml").write_text(table)
    router = open_source(Settings())
    try:
        yield router
    finally:
        await router.close()


@asynccontextmanager
async def two(
    folder: Path, *first: Answer, second: Answer | None = None, fields: str = "", second_fields: str = ""
) -> AsyncIterator[tuple[ProviderRouter, RawProvider, RawProvider]]:
    """A router with the providers `one`, for all models, and `two`, which stands in for it."""
    async with raw_provider(*first) as one, raw_provider(second or says("two")) as other:
        table = f"""
            [providers.one]
            base_url = "{one.base_url}"
            models = ["*"]
            fallback = ["two"]
            {fields}
            [providers.two]
            base_url = "{other.base_url}"
            models = []
            {second_fields}
        """
        async with routed(folder, table) as router:
            yield router, one, other


async def ask(router: ProviderRouter, model: str = "m", **fields: Any) -> str:
    request = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}
    async with aclosing(router.generate(request)) as items:
        chunks = [item async for item in items if isinstance(item, dict) and item is not END]
    return "".join(choice["delta"]["content"] for chunk in chunks for choice in chunk["choices"])


async def failure(router: ProviderRouter, model: str = "m") -> RunError:
    with pytest.raises(RunFailedError) as failed:
        await ask(router, model)
    return failed.value.error


async def test_the_first_provider_whose_pattern_fits_is_asked_with_its_key_and_headers(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        one, two, three = [
            await stack.enter_async_context(raw_provider(says(name))) for name in ("one", "two", "three")
        ]
        table = f"""
            [providers.one]
            base_url = "{one.base_url}"
            models = ["gpt-4o-mini", "o[0-9]*"]
            api_key = "key-one"
            headers = {{ X-Team = "blue" }}
            query = {{ tag = "a b" }}
            [providers.two]
            base_url = "{two.base_url}"
            models = ["gpt-*"]
            api_key = "key-two"
            rename = {{ "gpt-4o" = "own" }}
            [providers.three]
            base_url = "{three.base_url}"
            models = ["*"]
        """
        async with routed(folder, table) as router:
            models = ("gpt-4o-mini", "o3", "gpt-4o", "llama")
            assert [await ask(router, model) for model in models] == ["one", "one", "two", "three"]
    assert [json.loads(body)["model"] for body in one.bodies + two.bodies] == ["gpt-4o-mini", "o3", "own"]
    assert one.heads[0].startswith("POST /v1/chat/completions?tag=a+b ")
    head = one.heads[0].lower()
    assert "authorization: bearer key-one\r\n" in head
    assert "x-team: blue\r\n" in head
    assert "authorization: bearer key-two\r\n" in two.heads[0].lower()
    assert "x-team" not in two.heads[0].lower()
    assert "key-" not in three.heads[0]


async def test_the_environment_of_the_sdk_does_not_reach_other_providers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "AZURE_OPENAI_API_KEY")
    for name in (*names, "AZURE_OPENAI_AD_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    async with raw_provider(says("one")) as one, raw_provider(says("two")) as azure:
        table = f"""
            [providers.one]
            base_url = "{one.base_url}"
            models = ["a"]
            [providers.azure]
            azure = true
            api_version = "1"
            base_url = "{azure.base_url}"
            models = ["b"]
        """
        async with routed(folder, table) as router:
            assert [await ask(router, model) for model in "ab"] == ["one", "two"]
    assert SECRET not in one.heads[0] + azure.heads[0]


async def test_azure_gets_the_deployment_in_the_url_and_its_own_header(folder: Path) -> None:
    async with raw_provider(says("azure")) as azure:
        table = f"""
            [providers.azure]
            azure = true
            base_url = "{azure.base_url.removesuffix("/v1")}/openai/"
            api_version = "2024-10-21"
            api_key = "azure-key"
            models = ["*"]
            rename = {{ "gpt-4o" = "my-gpt-4o" }}
        """
        async with routed(folder, table) as router:
            assert await ask(router, "gpt-4o") == "azure"
            for model in ("..", "gpt-4/../x", "a?b=c", "a/b", ""):
                error = await failure(router, model)
                assert (error.code, error.http_status) == ("model_not_found", 404)
    (head,) = azure.heads
    assert head.startswith("POST /openai/deployments/my-gpt-4o/chat/completions?api-version=2024-10-21 ")
    assert "api-key: azure-key\r\n" in head.lower()
    assert "authorization" not in head.lower()


async def test_an_unknown_model_is_refused_with_the_list_of_known_ones(folder: Path) -> None:
    table = """
        [providers.one]
        models = ["gpt-*", "o3"]
        [providers.two]
        base_url = "http://127.0.0.1:1/v1"
        models = ["llama*", "gpt-*"]
    """
    async with routed(folder, table) as router:
        error = await failure(router, "claude" * 1000)
    assert (error.code, error.http_status, error.param) == ("model_not_found", 404, "model")
    assert error.message.endswith("There are: gpt-*, o3, llama*.")
    assert len(error.message) < 300


@pytest.mark.parametrize(
    "answer",
    [
        BUSY,
        refuses("500 Internal Server Error", b"{}"),
        refuses("429 Too Many Requests", b"{}", b"retry-after: 3600"),
        refuses("429 Too Many Requests", b'{"error":{"code":"insufficient_quota","message":"no money"}}'),
        sends(b'data: {"error":{"code":429,"message":"slow down"}}\n\n'),
    ],
    ids=["503", "500", "429", "quota", "429 in the stream"],
)
async def test_a_refusal_unrelated_to_the_request_goes_to_the_fallback(folder: Path, answer: Answer) -> None:
    async with two(folder, answer, fields="retries = 5") as (router, one, _):
        assert await ask(router) == "two"
    assert len(one.bodies) == 1


async def test_the_fallback_of_an_unreachable_provider_is_asked(folder: Path) -> None:
    async with raw_provider(says("two")) as other:
        table = f"""
            [providers.one]
            base_url = "http://127.0.0.1:{free_port()}/v1"
            models = ["*"]
            fallback = ["two"]
            [providers.two]
            base_url = "{other.base_url}"
            models = []
            rename = {{ "m" = "their-m" }}
        """
        async with routed(folder, table) as router:
            assert await ask(router) == "two"
    assert json.loads(other.bodies[0])["model"] == "their-m"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refuses("504 Gateway Timeout", b'{"message":"too slow"}'), "upstream_error"),
        (drops(), "upstream_disconnected"),
        (sends(b"data: {\n\n"), "upstream_invalid"),
        (sends(DONE), "upstream_truncated"),
        (refuses("400 Bad Request", b"{}"), "upstream_error"),
        (refuses("401 Unauthorized", b"{}"), "upstream_error"),
    ],
    ids=["504", "drop", "garbage", "nothing", "400", "401"],
)
async def test_a_failure_that_may_be_billed_does_not_go_to_the_fallback(
    folder: Path, answer: Answer, code: str
) -> None:
    async with two(folder, answer) as (router, _, other):
        assert (await failure(router)).code == code
    assert other.bodies == []


async def test_a_silence_that_may_be_billed_does_not_go_to_the_fallback(folder: Path) -> None:
    async with two(folder, hangs(), fields="first_chunk_timeout_s = 0.3") as (router, _, other):
        assert (await failure(router)).code == "upstream_timeout"
    assert other.bodies == []


@pytest.mark.parametrize("answer", [hangs(), refuses("504 Gateway Timeout", b"{}")])
async def test_a_setting_sends_timeouts_to_the_fallback(folder: Path, answer: Answer) -> None:
    fields = "first_chunk_timeout_s = 0.3\nfallback_after_timeout = true"
    async with two(folder, answer, fields=fields) as (router, _, _other):
        assert await ask(router) == "two"


async def test_a_failure_after_the_first_chunk_does_not_go_to_the_fallback(folder: Path) -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    async with two(folder, sends(chunk, b'data: {"error":{"code":503}}\n\n')) as (router, _, other):
        assert (await failure(router)).http_status == 503
    assert other.bodies == []


async def test_a_broken_connection_is_retried_at_the_same_provider_despite_a_fallback(folder: Path) -> None:
    async with two(folder, drops(), says("one"), fields="retries = 1") as (router, one, _):
        assert await ask(router) == "one"
    assert len(one.bodies) == 2


async def test_the_last_provider_is_retried_and_its_error_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    refused = refuses("500 Oh", b'{"message":"two is down"}')
    async with two(folder, BUSY, second=refused, fields="retries = 1", second_fields="retries = 1") as (
        router,
        one,
        other,
    ):
        assert (await failure(router)).message == "two is down"
    assert (len(one.bodies), len(other.bodies)) == (1, 2)
    assert "provider 'one' failed, asking 'two'" in caplog.text


async def test_a_failing_provider_is_paused_and_the_error_says_how_long(folder: Path) -> None:
    async with raw_provider(BUSY) as one:
        table = f"""
            [providers.one]
            base_url = "{one.base_url}"
            models = ["*"]
            breaker_failures = 2
            breaker_pause_s = 600
        """
        async with routed(folder, table) as router:
            assert [(await failure(router)).http_status for _ in range(2)] == [503, 503]
            error = await failure(router)
    assert (error.code, error.retryable, len(one.bodies)) == ("provider_unavailable", True, 2)
    assert re.fullmatch(
        r"The provider 'one' failed 2 times in a row, and is not asked for another \d{3} seconds\.", error.message
    )


async def test_the_run_that_opens_the_breaker_gets_the_providers_error(folder: Path) -> None:
    async with raw_provider(refuses("503 Busy", b'{"message":"too busy"}')) as one:
        table = f"""
            [providers.one]
            base_url = "{one.base_url}"
            models = ["*"]
            retries = 5
            breaker_failures = 2
            breaker_pause_s = 600
        """
        async with routed(folder, table) as router:
            assert (await failure(router)).message == "too busy"
    assert len(one.bodies) == 2


BEGINS = b'data: {"id": "1", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
"""The first chunk of an answer that has more."""


@pytest.mark.parametrize(
    "answer",
    [
        drops(BEGINS),
        sends(BEGINS),
        sends(BEGINS, b"data: {nonsense\n\n"),
        sends(BEGINS, b'data: {"error": {"message": "overloaded", "code": 502}}\n\n'),
        sends(b": processing\n\n", b'data: {"error": {"message": "overloaded", "code": 502}}\n\n'),
    ],
    ids=["drop", "end", "nonsense", "error", "error after a comment"],
)
async def test_a_provider_that_breaks_every_answer_is_not_asked(folder: Path, answer: Answer) -> None:
    async with raw_provider(answer) as one:
        table = f"""
            [providers.one]
            base_url = "{one.base_url}"
            models = ["*"]
            breaker_failures = 2
            breaker_pause_s = 600
        """
        async with routed(folder, table) as router:
            for _ in range(2):
                await asyncio.gather(ask(router), return_exceptions=True)
            assert (await failure(router)).code == "provider_unavailable"
    assert len(one.bodies) == 2


@pytest.mark.parametrize(
    "answer",
    [
        says("one"),
        drops(BEGINS.replace(b"}]}", b', "finish_reason": "stop"}]}')),
        sends(BEGINS, DONE),
        sends(BEGINS, b'data: {"error": {"message": "too much", "code": 429}}\n\n'),
        sends(BEGINS, b'data: {"error": {"message": "no", "type": "invalid_request_error"}}\n\n'),
    ],
    ids=["whole", "whole, then a drop", "whole without a reason", "too much to do", "the request's fault"],
)
async def test_an_answer_that_is_not_broken_by_the_provider_does_not_stop_it(folder: Path, answer: Answer) -> None:
    async with two(folder, answer, fields="breaker_failures = 2") as (router, one, _):
        for _ in range(4):
            await asyncio.gather(ask(router), return_exceptions=True)
    assert len(one.bodies) == 4


async def test_the_runs_of_a_provider_that_keeps_failing_go_to_its_fallback(folder: Path) -> None:
    fields = "breaker_failures = 2\nbreaker_pause_s = 600"
    async with two(folder, BUSY, fields=fields) as (router, one, other):
        assert [await ask(router) for _ in range(4)] == ["two"] * 4
    assert (len(one.bodies), len(other.bodies)) == (2, 4)


async def test_after_the_pause_one_run_tries_the_provider_again(folder: Path) -> None:
    fields = "breaker_failures = 1\nbreaker_pause_s = 0.05"
    async with two(folder, BUSY, says("one"), fields=fields) as (router, one, _):
        assert await ask(router) == "two"
        async with asyncio.timeout(60):
            while await ask(router) == "two":
                await asyncio.sleep(0.01)
        assert await ask(router) == "one"
    assert len(one.bodies) == 3


@pytest.mark.parametrize("answer", [refuses("400 Bad Request", b"{}"), refuses("429 Busy", b"{}")])
async def test_refusals_of_a_request_do_not_open_the_breaker(folder: Path, answer: Answer) -> None:
    async with two(folder, answer, fields="breaker_failures = 2") as (router, one, _):
        for _ in range(4):
            await asyncio.gather(ask(router), return_exceptions=True)
    assert len(one.bodies) == 4


async def test_an_overloaded_provider_keeps_its_state(folder: Path) -> None:
    async with two(folder, BUSY, refuses("429 Busy", b"{}"), BUSY, fields="breaker_failures = 2") as (router, one, _):
        for _ in range(5):
            assert await ask(router) == "two"
    assert len(one.bodies) == 3


async def test_runs_beyond_the_limit_of_a_provider_wait_for_a_place(folder: Path) -> None:
    gate = asyncio.Event()
    open_now = most = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await gate.wait()
        open_now -= 1
        await says("one")(reader, writer)

    async with raw_provider(answer) as one:
        table = f"""
            [providers.one]
            base_url = "{one.base_url}"
            models = ["*"]
            runs_at_once = 2
        """
        async with routed(folder, table) as router:
            runs = [asyncio.create_task(ask(router)) for _ in range(5)]
            await until(lambda: len(one.bodies) == 2)
            runs[4].cancel()
            gate.set()
            answers = await asyncio.gather(*runs, return_exceptions=True)
    assert answers[:4] == ["one"] * 4
    assert isinstance(answers[4], asyncio.CancelledError)
    assert most == 2


async def test_the_timeout_after_the_first_chunk_is_that_of_the_model(folder: Path) -> None:
    async with raw_provider(says("one")) as one:
        table = f"""
            [providers.one]
            base_url = "{one.base_url}"
            models = ["*"]
            [providers.one.model."o3*"]
            chunk_timeout_s = 300
        """
        async with routed(folder, table) as router:
            for model, expected in (("o3-pro", [ChunkTimeout(300)]), ("gpt-4o", [])):
                async with aclosing(router.generate({"model": model})) as items:
                    found = [item async for item in items]
                assert [item for item in found if isinstance(item, ChunkTimeout)] == expected


async def test_the_models_of_all_providers_are_listed_where_they_would_be_asked(
    folder: Path, provider: Simulator
) -> None:
    table = f"""
        [providers.one]
        base_url = "{provider.url}/v1"
        models = ["demo-*", "sim/demo", "not-listed"]
        rename = {{ "sim/demo" = "demo" }}
        [providers.azure]
        azure = true
        base_url = "http://127.0.0.1:1"
        api_version = "1"
        models = ["my-gpt", "my-*"]
        [providers.gone]
        base_url = "http://127.0.0.1:{free_port()}/v1"
        models = ["gone-*"]
        [providers.two]
        base_url = "{provider.url}/v1"
        models = ["fault-5*", "demo-fast"]
    """
    async with routed(folder, table) as router:
        found = {model.id: model.owned_by for model in await router.list_models()}
    assert found["sim/demo"] == "manycast-simulator"
    assert found["not-listed"] == "one"
    assert found["my-gpt"] == "azure"
    assert {"demo-fast", "demo-long", "fault-500"} <= set(found)
    assert {"demo", "fault-401"}.isdisjoint(found)


async def test_only_a_provider_without_a_list_is_asked_for_it_again(folder: Path) -> None:
    listing = refuses("200 OK", b'{"object":"list","data":[{"id":"a","created":1,"owned_by":"x","object":"model"}]}')
    async with raw_provider(listing) as one, raw_provider(BUSY, listing) as other:
        table = f"""
            [providers.one]
            base_url = "{one.base_url}"
            models = ["a"]
            [providers.two]
            base_url = "{other.base_url}"
            models = ["two/*"]
            rename = {{ "two/*" = "*" }}
        """
        async with routed(folder, table) as router:
            found = [sorted(model.id for model in await router.list_models()) for _ in range(3)]
    assert found == [["a"], ["a", "two/a"], ["a", "two/a"]]
    assert (len(one.heads), len(other.heads)) == (1, 2)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "", "/v1?tag=1"])
async def test_without_a_table_every_address_is_good_that_the_sdk_takes(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.delenv("MANYCAST_PROVIDERS", raising=False)
    async with raw_provider(says("one")) as one:
        host = one.base_url.removesuffix("/v1").removeprefix("http://")
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://{host}{path}")
        router = open_source(Settings())
        assert await ask(router) == "one"
        await router.close()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", r"MANYCAST_PROVIDERS: .*providers\.toml: providers: it is missing"),
        (f"[providers.one]\nmodels = ['*']\napi_key = '{SECRET} x'", r"\[providers\.one\] api_key: "),
    ],
)
def test_a_table_that_cannot_be_used_stops_the_worker(folder: Path, table: str, words: str) -> None:
    (folder / "providers.toml").write_text(table)
    with pytest.raises(SourceNotFoundError, match=words) as failed:
        open_source(Settings())
    assert SECRET not in str(failed.value)


def vectors(number: int) -> Answer:
    return sends(json.dumps({"data": [{"embedding": [number]}]}).encode())


async def forward(router: ProviderRouter, endpoint: str, **fields: Any) -> str:
    async with aclosing(router.forward(endpoint, {"input": "x", **fields})) as items:
        return "".join([item["body"] async for item in items if isinstance(item, dict) and item is not END])


async def test_a_pass_through_call_goes_to_the_provider_of_its_model(folder: Path) -> None:
    async with raw_provider(vectors(1)) as one, raw_provider(vectors(2)) as other:
        table = f"""
            [providers.one]
            base_url = "{one.base_url}"
            models = ["omni-*"]
            [providers.two]
            base_url = "{other.base_url}"
            models = ["embed-*"]
            rename = {{ "embed-small" = "own-small" }}
        """
        async with routed(folder, table) as router:
            assert json.loads(await forward(router, "embeddings", model="embed-small"))["data"] == [{"embedding": [2]}]
            # OpenAI takes a model of its own if a moderation names none.
            await forward(router, "moderations")
            with pytest.raises(RunFailedError, match="No provider has the model"):
                await forward(router, "embeddings", model="other")
    assert [json.loads(body) for body in other.bodies] == [{"input": "x", "model": "own-small"}]
    assert [json.loads(body) for body in one.bodies] == [{"input": "x"}]


async def test_embeddings_have_no_fallback(folder: Path) -> None:
    async with two(folder, BUSY, second=vectors(2)) as (router, _, other):
        assert await forward(router, "moderations", model="m")
        with pytest.raises(RunFailedError):
            await forward(router, "embeddings", model="m")
    assert len(other.bodies) == 1
