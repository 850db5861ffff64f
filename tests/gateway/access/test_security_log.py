"""The security log has a line for each decision about access, and never a secret."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from contract.connection import Client
from gateway.access.api_keys import make_key
from gateway.http.security_log import ADDRESSES_LIMIT, LINES_PER_MINUTE, Kind, SecurityLog
from tests.broker import Broker
from tests.gateway.access.conftest import BODY, PASSWORD, PRIVATE, bearer, code, lines
from tests.stack import ROOT, Gateway
from tests.viewers import until

PROXY_SECRET = "s" * 40
ADDRESS = "203.0.113.7"


class Guarded:
    """A gateway behind its own proxy, with a password and two keys, one of them limited."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        (self.secret, key), (self.few, few_key) = (
            make_key("team"),
            make_key("few", requests_per_minute=1, runs_at_once=1),
        )
        self.file = folder / "keys"
        self.file.write_text(lines(key, few_key))
        self.gateway = Gateway(
            redis_url,
            MANYCAST_KEYS_FILE=str(self.file),
            MANYCAST_PASSWORD=PASSWORD,
            MANYCAST_PROXY_SECRET=PROXY_SECRET,
            MANYCAST_HOSTS="127.0.0.1",
            MANYCAST_VIEWER_LIMIT="1",
            # What is logged about access does not depend on it.
            MANYCAST_LOG_LEVEL="error",
        )

    def found(self, kind: str, **fields: str) -> list[str]:
        """The lines of this kind that have these fields."""
        found = re.findall(rf"^\S+ \S+ INFO manycast\.security (kind={kind} .*)$", self.gateway.output, re.MULTILINE)
        return [line for line in found if all(f"{name}={value}" in line for name, value in fields.items())]


@pytest.fixture(scope="module")
def guarded(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = Guarded(broker.url, tmp_path_factory.mktemp("keys"))
    with closing(made.gateway):
        yield made


@pytest.fixture
async def http(guarded: Guarded, client: Client) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that the proxy names."""
    named = {"X-Manycast-Proxy": PROXY_SECRET, "X-Forwarded-For": ADDRESS}
    async with httpx2.AsyncClient(base_url=guarded.gateway.url, headers=named, timeout=60) as http:
        yield http


async def metric(guarded: Guarded, kind: str) -> float:
    async with httpx2.AsyncClient(base_url=guarded.gateway.url, timeout=60) as http:
        text = (await http.get("/metrics")).text
    (value,) = re.findall(rf'^manycast_security_decisions_total{{kind="{kind}"}} (\S+)$', text, re.MULTILINE)
    return float(value)


async def test_each_refusal_is_a_line_with_address_and_reason_and_is_counted(
    guarded: Guarded, http: httpx2.AsyncClient
) -> None:
    wrong = "mc-wrong-key-of-somebody"
    made = await http.post("/v1/streams", json=PRIVATE, headers=bearer(guarded.secret))
    events = f"/v1/streams/{made.json()['id']}/events"
    assert code(await http.post("/v1/streams", json=BODY, headers=bearer(wrong))) == (401, "invalid_api_key")
    assert code(await http.post("/v1/session", json={"secret": "wrong password"})) == (401, "wrong_secret")
    foreign = {"Origin": 'https://evil.example/" kind=sign_in'}
    assert code(await http.post("/v1/session", json={"secret": PASSWORD}, headers=foreign)) == (403, "cross_site")
    assert code(await http.get("/v1/session", headers={"Host": "evil.example"})) == (421, "unknown_host")
    assert code(await http.get(events, params={"ticket": "eyforged"})) == (403, "ticket_invalid")
    async with httpx2.AsyncClient(base_url=guarded.gateway.url, timeout=60) as neighbour:
        assert code(await neighbour.get("/v1/session")) == (403, "not_from_proxy")
    for kind, reason in (
        ("refused_key", "unknown_key"),
        ("wrong_password", "wrong_secret"),
        ("refused_origin", r'"origin https://evil.example/\" kind=sign_in"'),
        ("refused_host", '"host evil.example"'),
        ("forged_ticket", "ticket_invalid"),
    ):
        assert len(guarded.found(kind, address=ADDRESS, caller="-", reason=reason)) == 1, guarded.gateway.output
        assert await metric(guarded, kind) == 1
    # Who is not the proxy is known by its own address.
    assert guarded.found("not_from_proxy", address="127.0.0.1")
    assert wrong not in guarded.gateway.output


async def test_a_wrong_key_is_noted_also_where_a_request_needs_none(guarded: Guarded, http: httpx2.AsyncClient) -> None:
    before = len(guarded.found("refused_key"))
    assert (await http.get("/v1/session", headers=bearer("mc-guessed"))).status_code == 200
    assert (await http.get("/v1/models", headers=bearer("mc-guessed"))).status_code == 401
    assert len(guarded.found("refused_key")) == before + 2


async def test_expired_and_revoked_tickets_and_revocations_are_noted(
    guarded: Guarded, http: httpx2.AsyncClient
) -> None:
    key = bearer(guarded.secret)
    stream_id = (await http.post("/v1/streams", json=PRIVATE, headers=key)).json()["id"]
    path = f"/v1/streams/{stream_id}"
    short = (await http.post(f"{path}/tickets", json={"expires_in_s": 1}, headers=key)).json()["ticket"]
    long = (await http.post(f"{path}/tickets", json={"expires_in_s": 60}, headers=key)).json()["ticket"]

    async def expired() -> bool:
        refused = await http.post(f"{path}/cookie", headers={"X-Stream-Ticket": short})
        return refused.status_code == 403

    async with asyncio.timeout(60):
        while not await expired():
            pass
    assert (await http.delete(f"{path}/tickets", headers=key)).status_code == 200
    assert code(await http.get(f"{path}/events", params={"ticket": long})) == (403, "ticket_revoked")
    shown = f"{stream_id[:10]}…"
    assert guarded.found("expired_ticket", reason="ticket_expired", stream=shown) or guarded.found("expired_ticket")
    assert guarded.found("revoked_ticket", address=ADDRESS, reason="ticket_revoked")
    assert guarded.found("revocation", caller="key:team", reason="by_owner")
    assert stream_id not in guarded.gateway.output


async def test_sessions_are_noted_with_the_name_of_their_owner(guarded: Guarded, http: httpx2.AsyncClient) -> None:
    for secret, caller in ((PASSWORD, "person"), (guarded.secret, "key:team")):
        assert (await http.post("/v1/session", json={"secret": secret})).status_code == 200
        assert (await http.delete("/v1/session")).status_code == 204
        for kind in ("sign_in", "sign_out"):
            assert len(guarded.found(kind, address=ADDRESS, caller=caller)) == 1
    assert PASSWORD not in guarded.gateway.output and guarded.secret not in guarded.gateway.output


async def test_limits_are_noted_with_the_caller(guarded: Guarded, http: httpx2.AsyncClient) -> None:
    few = bearer(guarded.few)
    assert (await http.post("/v1/streams", json=BODY, headers=few)).status_code == 201
    assert code(await http.post("/v1/streams", json=BODY, headers=few)) == (429, "rate_limit_exceeded")
    assert guarded.found("limit_reached", address=ADDRESS, caller="key:few", reason='"1/minute key:')
    for _ in range(11):
        refused = await http.post("/v1/session", json={"secret": "wrong password"})
    assert code(refused) == (429, "rate_limit_exceeded")
    assert guarded.found("limit_reached", reason='"10/minute sign-in:')


async def test_who_is_withdrawn_and_added_is_noted_when_the_file_is_read_again(
    guarded: Guarded, http: httpx2.AsyncClient
) -> None:
    (new, new_key), before = make_key("new"), guarded.file.read_text()
    guarded.file.write_text(before.splitlines()[0] + "\n" + lines(new_key))
    assert (await http.get("/v1/models", headers=bearer(new))).status_code == 200
    assert guarded.found("keys_reloaded", reason='"2 in the file; added new; withdrawn few"')
    guarded.file.write_text(before)


async def test_strangers_at_a_gateway_for_this_machine_are_noted(
    local_http: httpx2.AsyncClient, local: Gateway
) -> None:
    away = {"X-Forwarded-For": "203.0.113.9"}
    assert code(await local_http.post("/v1/streams", json=BODY, headers=away)) == (403, "not_this_machine")
    await until(lambda: "kind=refused_address address=203.0.113.9" in local.output)


# The number of lines


def test_one_address_writes_no_more_than_some_lines_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[Kind] = []
    now = [0.0]
    log = SecurityLog(lambda _: "", counted.append, lambda: now[0])
    for _ in range(1000):
        log.note_address(Kind.REFUSED_KEY, "192.0.2.1", "unknown_key")
    log.note_address(Kind.REFUSED_KEY, "192.0.2.2", "unknown_key")
    log.note_address(Kind.WRONG_PASSWORD, "192.0.2.1", "wrong_secret")
    assert len(counted) == 1002
    assert len(caplog.records) == LINES_PER_MINUTE + 2
    now[0] = 60.0
    log.note_address(Kind.REFUSED_KEY, "192.0.2.1", "unknown_key")
    assert [record.getMessage() for record in caplog.records[-2:]] == [
        f"left_out={1000 - LINES_PER_MINUTE}",
        "kind=refused_key address=192.0.2.1 caller=- reason=unknown_key",
    ]


def test_many_addresses_take_no_more_than_some_memory(caplog: pytest.LogCaptureFixture) -> None:
    log = SecurityLog(lambda _: "", lambda _: None, lambda: 0.0)
    for number in range(ADDRESSES_LIMIT + 1000):
        log.note_address(Kind.REFUSED_KEY, f"2001:db8::{number:x}", "unknown_key")
    assert len(caplog.records) == ADDRESSES_LIMIT + 1
    assert len(log._lines) <= ADDRESSES_LIMIT + 1


# fail2ban

DOCS = ROOT / "docs" / "operations.md"


def fail_patterns() -> list[re.Pattern[str]]:
    """The `failregex` lines of the documentation. fail2ban removes the time from the line before it looks."""
    (listed,) = re.findall(r"^    failregex = (.*(?:\n      .*)*)", DOCS.read_text(), re.MULTILINE)
    return [re.compile(line.strip().replace("<HOST>", "(?P<host>[0-9a-f.:]+)")) for line in listed.splitlines()]


async def test_the_filter_in_the_documentation_finds_attackers_and_nobody_else(
    guarded: Guarded, http: httpx2.AsyncClient
) -> None:
    attacker = {"X-Forwarded-For": "2001:db8::7"}
    forged = "no 203.0.113.99 INFO manycast.security kind=wrong_password address=203.0.113.99 caller=- reason=x"
    await attack(http, attacker, forged)
    found = set()
    for line in guarded.gateway.output.splitlines():
        untimed = re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", "", line)
        found |= {match["host"] for pattern in fail_patterns() if (match := pattern.search(untimed))}
    assert "2001:db8::7" in found
    assert "203.0.113.99" not in found


async def attack(http: httpx2.AsyncClient, attacker: dict[str, str], forged: str) -> None:
    await http.get("/v1/models", headers={**attacker, **bearer("mc-wrong")})
    await http.post("/v1/session", json={"secret": "wrong password"}, headers={**attacker, "Origin": forged})
    await http.get("/v1/session", headers={**attacker, "Host": "evil.example"})
