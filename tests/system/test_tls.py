"""Redis behind TLS: the stack works with each topology, and an error names what is wrong with the certificates."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx2
import pytest

from contract.connection import call_redis, command_client
from contract.errors import BrokerUnavailableError
from contract.redis_server import PubSubConnection
from contract.routes import routes_of
from contract.topology import parse_topology
from manycast.chaos.redis_node import STORAGE, Certificate, RedisNode
from manycast.command.doctor import look_at_broker
from tests.broker import Broker, redis_binary
from tests.certificates import new_certificate
from tests.stack import Gateway, Simulator, Worker, closing_all
from tests.topologies import redis_cluster, sentinel_group
from tests.viewers import DEADLINE_S, question, read_events

pytestmark = pytest.mark.one_server("it starts topologies of its own")

PASSWORD, OF_SENTINELS = "d@t/a", "s@t"
KINDS = ("one", "sentinel", "cluster")


def options_of(certificate: Certificate) -> dict[str, str]:
    """The options of a REDIS_URL that trusts the certificate and shows it."""
    return {
        "ssl_ca_certs": str(certificate.file),
        "ssl_certfile": str(certificate.file),
        "ssl_keyfile": str(certificate.key),
    }


@contextlib.contextmanager
def one_server(directory: Path, certificate: Certificate) -> Iterator[str]:
    """The URL of a single server, without options."""
    binary = redis_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")
    node = RedisNode(
        "one", Path(binary), directory, [*STORAGE, "--requirepass", PASSWORD], PASSWORD, certificate=certificate
    )
    try:
        node.start()
        node.wait_until_ready()
        yield f"rediss://:{PASSWORD}@{node.address}/0"
    finally:
        node.remove()


@contextlib.contextmanager
def redis_with_tls(kind: str, directory: Path, certificate: Certificate) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL with a user, and its options apart from those of TLS. All servers demand passwords and certificates."""
    if redis_binary() is None:
        pytest.skip("the Valkey of the tests has no TLS, and there is no redis-server on this machine")
    own_options = {}
    with contextlib.ExitStack() as stack:
        if kind == "one":
            url = stack.enter_context(one_server(directory, certificate))
        elif kind == "sentinel":
            group = sentinel_group(PASSWORD, OF_SENTINELS, certificate=certificate)
            url = stack.enter_context(group).url
            own_options = {"sentinel_username": "default", "sentinel_password": OF_SENTINELS}
        else:
            url = stack.enter_context(redis_cluster(PASSWORD, certificate=certificate)).url
        yield url.replace(f":{PASSWORD}", f"default:{quote(PASSWORD, safe='')}"), own_options


@pytest.mark.parametrize("kind", KINDS)
async def test_the_stack_works_with_redis_behind_tls(http: httpx2.AsyncClient, tmp_path: Path, kind: str) -> None:
    certificate = new_certificate(tmp_path)
    with redis_with_tls(kind, tmp_path, certificate) as (address, options):
        url = f"{address}?{urlencode({**options, **options_of(certificate)})}"
        simulator, gateway = Simulator(), Gateway(url)
        worker = Worker(url, simulator.url)
        with closing_all(gateway, worker, simulator):
            async with asyncio.timeout(DEADLINE_S):
                # A busy machine may need longer for its first connections than a gateway waits.
                while (answer := await http.post(f"{gateway.url}/v1/streams", json=question("demo"))).is_error:
                    assert answer.status_code == 503, answer.text
            seen = await read_events(http, f"{gateway.url}/v1/streams/{answer.json()['id']}/events")
            assert seen.done["status"] == "completed"
            assert (await http.get(f"{gateway.url}/readyz")).json()["topology"] == kind


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_certificate_is_told_without_passwords(tmp_path: Path, kind: str) -> None:
    certificate = new_certificate(tmp_path / "right")
    elsewhere = new_certificate(tmp_path / "elsewhere", "DNS:redis.example.test")
    with redis_with_tls(kind, tmp_path, certificate) as (address, options):
        unknown = {**options_of(certificate), "ssl_ca_certs": str(elsewhere.file)}
        await until_all_say(
            f"{address}?{urlencode({**options, **unknown})}", "certificate verify failed", "ssl_ca_certs"
        )
        # Redis may close the connection before its reason is read. The doctor names what is missing all the same.
        without = {**options, "ssl_ca_certs": str(certificate.file)}
        assert "ssl_certfile" in (await errors_of(f"{address}?{urlencode(without)}"))[-1]
        plain = f"{address.replace('rediss', 'redis', 1)}?{urlencode(options)}"
        assert "begins with rediss" in (await errors_of(plain))[-1]


async def test_a_certificate_for_another_host_is_told(tmp_path: Path) -> None:
    elsewhere = new_certificate(tmp_path, "DNS:redis.example.test")
    with redis_with_tls("one", tmp_path, elsewhere) as (address, _):
        await until_all_say(f"{address}?{urlencode(options_of(elsewhere))}", "IP address mismatch")


async def test_a_redis_without_tls_is_told(broker: Broker) -> None:
    assert "begins with redis if" in (await errors_of(broker.url.replace("redis", "rediss", 1)))[-1]


async def until_all_say(url: str, *words: str) -> None:
    """On a busy machine, some may first say that Redis does not answer in time."""
    async with asyncio.timeout(DEADLINE_S):
        while not all(word in error for error in await errors_of(url) for word in words):
            pass


async def errors_of(url: str) -> list[str]:
    """What calls, a subscription and, last, the doctor say about a Redis that cannot be used. None shows a password."""
    client = command_client(url)
    with pytest.raises(BrokerUnavailableError) as of_a_call:
        await call_redis(client, "GET", "x")
    await client.aclose()
    errors = [str(of_a_call.value)]
    for place in routes_of(parse_topology(url)).places():
        with pytest.raises(BrokerUnavailableError) as of_a_subscription:
            await PubSubConnection(place).open()
        errors.append(str(of_a_subscription.value))
    *_, finding = await look_at_broker(url, "manycast")
    assert finding.level == "fail"
    errors.append(str(finding))
    for secret in (PASSWORD, OF_SENTINELS, quote(PASSWORD, safe=""), quote(OF_SENTINELS)):
        assert not [error for error in errors if secret in error]
    return errors
