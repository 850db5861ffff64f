"""The users of the stack's Redis may do what docker-compose.yml says, and no more. A real server, without Docker."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.broker import Broker, valkey_binary
from tests.redis_keys import SIGNING
from tests.stack import ROOT

PASSWORD = "p" * 64


def stack_users() -> dict[str, list[str]]:
    """The rules of each user, as the service `redis` writes them, with a password in place of the generated hash."""
    script = (ROOT / "docker-compose.yml").read_text().replace("\\\n", " ").replace("${MANYCAST_PREFIX:-mc}", "mc")
    (shared,) = re.findall(r'shared="([^"]*)"', script)
    users = re.findall(r"^\s+user (\w+) (.*)$", script, re.MULTILINE)
    return {
        name: re.sub(r"#\$\$\(hash \w+\)", f">{PASSWORD}", rules).replace("$$shared", shared).split()
        for name, rules in users
    }


@pytest.fixture(scope="module")
def guarded() -> Iterator[Broker]:
    broker = Broker(valkey_binary())
    admin: Any = redis.Redis(port=broker.port)
    admin.set(SIGNING, "the secret")
    admin.set("other", "x")
    users = stack_users()
    for name in sorted(users, key=lambda each: each == "default"):
        admin.execute_command("ACL", "SETUSER", name, "reset", *users[name])
    admin.close()
    yield broker
    broker.close()


def is_permitted(broker: Broker, user: str, command: str) -> bool:
    with redis.Redis(port=broker.port, username=user, password=PASSWORD, protocol=2) as client:
        try:
            client.execute_command(*command.split())
        except (redis.exceptions.NoPermissionError, redis.exceptions.AuthenticationError):
            return False
        except redis.exceptions.ResponseError as error:
            assert "permission" not in str(error).lower(), error
    return True


ADMIN = ("KEYS *", "FLUSHALL", "CONFIG GET *", "CONFIG SET dir /tmp", "ACL LIST", "SHUTDOWN", "MONITOR")
SCRIPTS = (
    "EVAL return(1) 0",
    "FUNCTION LIST",
    "SCRIPT FLUSH",
    "REPLICAOF 127.0.0.1 1",
    "MODULE LIST",
    "SAVE",
    "CLIENT LIST",
)


def test_a_stranger_may_do_nothing(guarded: Broker) -> None:
    with redis.Redis(port=guarded.port) as stranger, pytest.raises(redis.exceptions.AuthenticationError):
        stranger.get(SIGNING)
    assert set(stack_users()) == {"default", "health", "gateway", "worker"}


@pytest.mark.parametrize("user", ["gateway", "worker", "health"])
@pytest.mark.parametrize("command", [*ADMIN, *SCRIPTS, "GET other", "SET other y", "DEL other", "PUBLISH other x"])
def test_no_service_administers_redis_or_touches_other_keys(guarded: Broker, user: str, command: str) -> None:
    assert not is_permitted(guarded, user, command)


def test_only_gateways_read_the_key_that_signs_tickets(guarded: Broker) -> None:
    assert is_permitted(guarded, "gateway", f"GET {SIGNING}")
    for user in ("worker", "health"):
        for command in (f"GET {SIGNING}", f"HGET {SIGNING} x", f"DEL {SIGNING}", f"PEXPIRE {SIGNING} 1"):
            assert not is_permitted(guarded, user, command), (user, command)


def test_the_health_check_only_pings(guarded: Broker) -> None:
    assert is_permitted(guarded, "health", "PING")
    for command in ("HGETALL mc:{p00}:s_x:meta", "XRANGE mc:{p00}:s_x:log - +", "TIME", "INFO"):
        assert not is_permitted(guarded, "health", command)


def test_services_read_and_write_streams(guarded: Broker) -> None:
    for user in ("gateway", "worker"):
        for command in (
            "HGETALL mc:{p00}:s_x:meta",
            "XRANGE mc:{p00}:s_x:log - +",
            "XADD mc:{p00}:jobs * a b",
            "PUBLISH mc:{p00}:s_x:live y",
        ):
            assert is_permitted(guarded, user, command), (user, command)


FOR_GROUPS = {"+wait", "+ssubscribe", "+sunsubscribe", "+spublish", "+asking", "+cluster|slots"}


@pytest.mark.parametrize("user", ["gateway", "worker"])
def test_the_documented_users_are_those_of_the_stack_and_know_clusters(user: str) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    (documented,) = re.findall(rf"^    user {user} on >PASSWORD (.*)$", text, re.MULTILINE)
    rules = {rule for rule in stack_users()[user] if rule != "on" and not rule.startswith((">", "#"))}
    assert set(documented.split()) == rules | FOR_GROUPS
