"""`doctor`: checks that everything Manycast needs is installed and reachable, with advice. It changes nothing."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from contract.connection import Client as BrokerClient
from contract.connection import call_server, command_client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.keys import USUAL_KEYS, KeySpace
from contract.partitions import read_partitions
from contract.printable import one_line
from contract.prompts import SCRIPT_PREFIX
from contract.redis_server import Place
from contract.rights import find_missing_rights, needed_rights
from contract.settings import check_redis_url
from contract.topology import describe, kind_of, plain_urls
from manycast.client import STALL_LIMIT_S, Client
from manycast.client.errors import ManycastError, RefusedError
from manycast.client.transport import Transport
from manycast.local_stack.broker import BrokerError, find_binary
from worker.providers.provider_table import Provider, ProviderTableError, load_providers
from worker.settings import OPENAI_URL

OLDEST_PYTHON = (3, 11)
OLDEST_REDIS = (7, 0)
OLDEST_VALKEY = (8, 0)
NOT_FOUND = 404
FACT_LIMIT_CHARS = 2_000


@dataclass(frozen=True)
class Finding:
    """The result of one check. `advice` says what to do, if anything."""

    level: Literal["ok", "warn", "fail"]
    subject: str
    fact: str
    advice: str = ""

    def __str__(self) -> str:
        # A server or a provider may have written a part of it.
        fact, advice = (one_line(text, FACT_LIMIT_CHARS) for text in (self.fact, self.advice))
        return f"{self.level:<5}{self.subject:<10}{fact}" + (f"\n{'':15}-> {advice}" if advice else "")


async def look_at_python(version: tuple[int, ...] = sys.version_info[:3]) -> list[Finding]:
    text = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        return [Finding("fail", "python", text, "Manycast needs Python 3.11 or newer")]
    return [Finding("ok", "python", text)]


async def look_at_broker(redis_url: str | None, command: str, keys: KeySpace = USUAL_KEYS) -> list[Finding]:
    """`keys`: of the deployment that this computer's settings describe."""
    if redis_url is None:
        try:
            find_binary()
        except BrokerError as error:
            return [Finding("fail", "database", "REDIS_URL is not set, and there is no Valkey to start", str(error))]
        return [Finding("ok", "database", f"REDIS_URL is not set: `{command} up` starts its own Valkey")]
    try:
        check_redis_url(redis_url)
    except ValueError as error:
        return [Finding("fail", "database", f"REDIS_URL is malformed: {error}")]
    client = command_client(redis_url, keys, connections=1)
    try:
        places = await client.places()
        findings = []
        if len(places) > 1 or kind_of(client.topology) != "one":
            findings.append(Finding("ok", "database", f"{describe(client.topology)}"))
        for place in places:
            findings += await _look_at_server_of_redis(client, place)
        return [*findings, *await _look_at_partitions(client), *await _look_at_rights(client)]
    except (BrokerUnavailableError, BrokerRefusedError) as error:
        fact = f"{describe(client.topology)}: {error}"
        return [Finding("fail", "database", fact, _advise(client))]
    finally:
        await client.aclose()


async def _look_at_server_of_redis(client: BrokerClient, place: Place) -> list[Finding]:
    try:
        return judge_broker(str(place), await call_server(client.server_at(place), "INFO"))
    except (BrokerUnavailableError, BrokerRefusedError) as error:
        return [Finding("fail", "database", f"{place}: {error}", _advise(client))]


def _advise(client: BrokerClient) -> str:
    """About a Redis that does not answer. If TLS is wrong, the reason of an error may only be a closed connection."""
    if plain_urls(client.topology)[0].startswith("rediss"):
        files = "ssl_ca_certs, and ssl_certfile and ssl_keyfile if Redis demands a certificate of its clients"
        return f"start it, or correct REDIS_URL: it begins with redis if Redis has no TLS, or else it may need {files}"
    return "start it, or correct REDIS_URL: it begins with rediss if Redis has TLS"


async def _look_at_partitions(client: BrokerClient) -> list[Finding]:
    prefix, wanted = client.key_space.prefix, client.key_space.wanted_partitions
    try:
        count = await read_partitions(client)
    except BrokerUnavailableError:
        return []
    except BrokerRefusedError as error:
        return [Finding("warn", "database", f"the number of partitions cannot be read: {error}")]
    if count is None:
        fact = f"the prefix {prefix} is not in use yet: the first service to start stores its number of partitions"
        return [Finding("ok", "database", fact)]
    fact = f"the prefix {prefix} has {_count(count, 'partition')}"
    if wanted not in (None, count):
        advice = f'unset MANYCAST_PARTITIONS, or set it to {count}. "Partitions" in docs/operations.md'
        return [Finding("fail", "database", f"{fact}, and MANYCAST_PARTITIONS is {wanted}", advice)]
    return [Finding("ok", "database", fact)]


async def _look_at_rights(client: BrokerClient) -> list[Finding]:
    try:
        missing = await find_missing_rights(client, needed_rights(client))
    except BrokerUnavailableError:
        return []
    except BrokerRefusedError as error:
        missing = [str(error)]
    advice = '"Users of Redis" in docs/operations.md lists all rights'
    return [Finding("fail", "database", f"the user of REDIS_URL lacks the right to {one}", advice) for one in missing]


def judge_broker(url: str, info: dict[str, Any]) -> list[Finding]:
    """Checks Redis by its INFO. No I/O."""
    is_valkey = info.get("server_name") == "valkey"
    name, oldest = ("Valkey", OLDEST_VALKEY) if is_valkey else ("Redis", OLDEST_REDIS)
    version = str(info.get("valkey_version" if is_valkey else "redis_version", "0"))
    findings = [Finding("ok", "database", f"{name} {version} at {url}")]
    if _numbers(version) < oldest:
        needed = ".".join(map(str, oldest))
        findings = [Finding("fail", "database", f"{name} {version} at {url}", f"{name} {needed} or newer is needed")]
    if not int(info.get("aof_enabled", 0)):
        advice = "CONFIG SET appendonly yes, and set it in the configuration file"
        findings.append(
            Finding("warn", "database", f"no append-only file: a restart of {name} loses all answers", advice)
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if int(info.get("maxmemory", 0)) and policy != "noeviction":
        advice = "CONFIG SET maxmemory-policy noeviction"
        findings.append(
            Finding("warn", "database", f"maxmemory-policy {policy}: when {name} is full, it deletes answers", advice)
        )
    return findings


async def look_at_provider(api_key: str | None, url: str | None) -> list[Finding]:
    if not api_key and not url:
        return [Finding("ok", "provider", "the built-in simulator", "set OPENAI_API_KEY to ask a language model")]
    url = url or OPENAI_URL
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        models = await _list_models(url, {}, headers)
    except RefusedError as error:
        advice = "correct OPENAI_API_KEY" if error.status in (401, 403) else "correct OPENAI_BASE_URL"
        return [Finding("fail", "provider", f"{url} refuses: {error}", advice)]
    except ManycastError as error:
        return [Finding("fail", "provider", str(error), "check OPENAI_BASE_URL and the network")]
    return [Finding("ok", "provider", f"{url} offers {_count(len(models), 'model')}")]


async def look_at_providers(path: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Checks the table of providers at `path`, and each of them."""
    try:
        providers = load_providers(path, environ)
    except ProviderTableError as error:
        return [Finding("fail", "provider", str(error), "correct the file that MANYCAST_PROVIDERS names")]
    return list(await asyncio.gather(*(_look_at_table(provider, path) for provider in providers)))


async def _look_at_table(provider: Provider, path: Path) -> Finding:
    place = f"[providers.{provider.name}] in {path}"
    try:
        listed = await _list_models(*listing_request(provider))
    except RefusedError as error:
        fact = f"{provider.name}: {provider.base_url} refuses: {error}"
        if error.status in (401, 403):
            return Finding("fail", "provider", fact, f"correct the key of {place}")
        return Finding("warn", "provider", fact, f"check base_url of {place}, unless this provider lists no models")
    except ManycastError as error:
        return Finding("fail", "provider", f"{provider.name}: {error}", f"check base_url of {place}, and the network")
    fitting = [model for model in listed if any(provider.answers(name) for name in provider.callers_names_of(model))]
    patterns = ", ".join(provider.models) or "only as a fallback"
    offered = _count(len(listed), "model")
    fact = f"{provider.name}: {provider.base_url} offers {offered}, {len(fitting)} of them for {patterns}"
    if provider.models and not fitting and not provider.azure:
        return Finding("warn", "provider", fact, f"check models and rename of {place}")
    return Finding("ok", "provider", fact)


def listing_request(provider: Provider) -> tuple[str, dict[str, str], dict[str, str]]:
    """Base URL, query and headers of the request that lists a provider's models. No I/O."""
    if provider.azure:
        url = f"{provider.base_url.removesuffix('/openai')}/openai"
        query = {**provider.query, "api-version": provider.api_version or ""}
        return url, query, {"api-key": provider.key, **provider.headers}
    headers = {"Authorization": f"Bearer {provider.key}"} if provider.key else {}
    return provider.base_url, dict(provider.query), headers | provider.headers


async def _list_models(url: str, query: Mapping[str, str], headers: Mapping[str, str]) -> list[str]:
    """The ids of the models. Raises: as Transport.call."""
    transport = Transport(url, headers, STALL_LIMIT_S)
    try:
        models = (await transport.call("GET", f"/models?{urlencode(query)}" if query else "/models")).get("data")
    finally:
        await transport.close()
    return [str(model.get("id")) for model in models or () if isinstance(model, dict)]


async def look_at_gateway(
    url: str, api_key: str | None = None, *, command: str = "manycast", is_named: bool = False
) -> list[Finding]:
    """Asks the running gateway, and what it sees of its broker, workers and providers.

    `is_named`: the user named this gateway, so it is wrong if there is none. `command`: what to type to call
    `manycast`.
    """
    try:
        async with Client(url, api_key=api_key) as client:
            gateway = judge_gateway(url, await client.readiness())
            findings = [gateway, *await _look_at_admission(client, api_key)]
            if gateway.level == "ok":
                findings += await _look_at_server(client)
                findings += await _look_at_scripts(client)
            return findings
    except ManycastError as error:
        return [Finding("fail" if is_named else "warn", "gateway", str(error), f"start one: {command} up")]


async def _look_at_server(client: Client) -> list[Finding]:
    try:
        state = await client.server_state()
    except RefusedError as error:
        if error.status == NOT_FOUND:
            return [Finding("warn", "server", "it is older than this command, and does not say what it runs on")]
        return [Finding("warn", "server", f"it does not tell you what it runs on: {error}", error.advice or "")]
    except ManycastError as error:
        return [Finding("fail", "server", f"it cannot say what it runs on: {error}", "see the gateway's log")]
    return judge_server(state)


async def _look_at_scripts(client: Client) -> list[Finding]:
    """The scripts that its workers offer. Empty if there are none, or this caller may not list models."""
    try:
        scripts = [model.id for model in await client.models() if model.id.startswith(SCRIPT_PREFIX)]
    except ManycastError:
        return []
    if not scripts:
        return []
    return [Finding("ok", "server", f"its workers run {_count(len(scripts), 'script')}: {', '.join(scripts)}")]


def judge_server(state: Mapping[str, Any]) -> list[Finding]:
    """Checks the response of `/v1/server`. No I/O."""
    findings = [_judge_its_broker(state["broker"])]
    for worker in state["workers"]:
        findings += _judge_worker(worker)
    return findings


def _judge_its_broker(broker: Mapping[str, Any]) -> Finding:
    name, oldest = ("Valkey", OLDEST_VALKEY) if broker["name"] == "valkey" else ("Redis", OLDEST_REDIS)
    if broker["version"] is None:
        return Finding("ok", "server", "its database works, but does not tell its version")
    fact = f"its database is {name} {broker['version']}"
    if broker.get("topology", "one") != "one":
        fact += f" ({broker['topology']}: {', '.join(broker['nodes'])})"
    if _numbers(broker["version"]) < oldest:
        return Finding("fail", "server", fact, f"{name} {'.'.join(map(str, oldest))} or newer is needed")
    if broker["append_only"] is False:
        advice = "CONFIG SET appendonly yes, and set it in the configuration file"
        return Finding("warn", "server", f"{fact}, without an append-only file: its restart loses all answers", advice)
    if broker["memory_limit_bytes"] and broker["memory_policy"] != "noeviction":
        fact += f", with maxmemory-policy {broker['memory_policy']}: when it is full, it deletes answers"
        return Finding("warn", "server", fact, "CONFIG SET maxmemory-policy noeviction")
    return Finding("ok", "server", fact)


def _judge_worker(worker: Mapping[str, Any]) -> list[Finding]:
    if worker["generator"]:
        return [Finding("ok", "server", f"a worker runs your generator {worker['generator']}")]
    findings = []
    for provider in worker["providers"]:
        fact = f"a worker asks the provider {provider['url']}"
        if provider["problem"]:
            advice = "correct its key (OPENAI_API_KEY), its URL (OPENAI_BASE_URL) or the network of the worker"
            findings.append(Finding("fail", "server", f"{fact}, but {provider['problem']}", advice))
        else:
            findings.append(Finding("ok", "server", fact))
    if not worker["default_model"]:
        fact = "its provider lists no models, so a request that names none fails"
        findings.append(Finding("warn", "server", fact, "set MANYCAST_DEFAULT_MODEL for the worker"))
    elif findings:
        fact = f"it offers {_count(worker['models'], 'model')}; requests that name none get {worker['default_model']}"
        findings.append(Finding("ok", "server", fact))
    return findings


def judge_gateway(url: str, readiness: dict[str, Any]) -> Finding:
    """Checks the response of `/readyz`. No I/O."""
    if readiness.get("ready"):
        return Finding("ok", "gateway", f"{url} is ready, with {_count(readiness.get('workers'), 'worker')}")
    if not readiness.get("redis"):
        return Finding("fail", "gateway", f"{url} cannot reach Redis", "check its REDIS_URL")
    if readiness.get("draining"):
        return Finding("warn", "gateway", f"{url} is shutting down", "use another gateway, or start this one again")
    return Finding("fail", "gateway", f"{url} has no live worker", "start one: python -m worker")


async def _look_at_admission(client: Client, api_key: str | None) -> list[Finding]:
    """Whether this caller may start runs. Empty if the gateway does not say."""
    try:
        admission = await client.admission()
    except ManycastError:
        return []
    name, words = admission.get("caller"), admission.get("message") or ""
    if admission.get("may_start"):
        you_may = "you may ask questions"
        return [Finding("ok", "access", f"{you_may}, as {name}" if name else f"{you_may}. {words}")]
    level: Literal["fail", "warn"] = "fail" if api_key else "warn"
    return [Finding(level, "access", words, "set MANYCAST_API_KEY, or use --key-file")]


async def examine(looks: list[Callable[[], Awaitable[list[Finding]]]], show: Callable[[str], None]) -> bool:
    """Prints each finding at once. Returns whether nothing failed."""
    is_well = True
    for look in looks:
        for finding in await look():
            show(str(finding))
            is_well = is_well and finding.level != "fail"
    return is_well


def _count(number: object, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
