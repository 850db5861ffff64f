"""The attack of another user of this machine, and of other containers: on Redis, and on the gateways past `web`."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.compose.conftest import GATEWAYS, WORKERS
from tests.compose.stack import Stack, docker, inspected

ATTACK = """
import json, os, socket, sys, urllib.error, urllib.request

"loaded before the rights to read it are gone".encode("idna")
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

def ask_redis(address, *lines):
    with socket.create_connection((address, 6379), timeout=10) as line:
        line.sendall("".join(f"{each}\\r\\n" for each in lines).encode())
        return line.makefile("rb").readline().decode().split()[0]

def ask_gateway(address, path, body=None):
    forged = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-User": "alice", "X-Forwarded-Host": "localhost"}
    guess = {"Host": "localhost", "X-Manycast-Proxy": "0" * 64}
    asked = urllib.request.Request(f"http://{address}:8000{path}", body, {**forged, **guess})
    try:
        return urllib.request.urlopen(asked, timeout=10).read().decode()
    except urllib.error.HTTPError as refused:
        return json.load(refused)["error"]["code"]

redis, *gateways = sys.argv[1:]
commands = ["PING", "INFO", "KEYS *", "GET mc:signing", "CONFIG GET *", "FLUSHALL", "AUTH gateway", "AUTH gateway x",
            "AUTH worker x", "AUTH default x", "AUTH health x", "HELLO 3 AUTH default x", "SUBSCRIBE mc:control"]
run = b'{"messages":[{"role":"user","content":"Hello"}]}'
print(json.dumps({
    "redis": {command: ask_redis(redis, command) for command in commands},
    "gateway": [ask_gateway(each, *what) for each in gateways
                for what in (("/v1/session",), ("/v1/models",), ("/v1/streams", run), ("/v1/chat/completions", run))],
}))
"""
REACHES_GATEWAY = """
import socket, sys
for address in sys.argv[1:]:
    try:
        socket.create_connection((address, 8000), timeout=3)
        print("reached", address)
    except OSError:
        pass
"""


def addresses(container: str) -> list[str]:
    return [each["IPAddress"] for each in inspected(container)["NetworkSettings"]["Networks"].values()]


def attack_as_another_user(*arguments: str) -> dict[str, Any]:
    """What a program of a user without any right gets from these addresses."""
    words = [sys.executable, "-I", "-c", ATTACK, *arguments]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60, cwd="/", env={})
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def check_refused(answer: dict[str, Any]) -> None:
    assert set(answer["redis"].values()) <= {"-NOAUTH", "-WRONGPASS", "-ERR"}, answer["redis"]
    assert answer["redis"]["GET mc:signing"] == "-NOAUTH"
    assert set(answer["gateway"]) == {"not_from_proxy"}


def targets(stack: Stack) -> list[str]:
    (redis,) = stack.containers("redis")
    gateways = [address for each in stack.containers("gateway") for address in addresses(each)]
    return [*addresses(redis), *gateways]


def test_another_user_of_this_machine_gets_nothing_from_redis_or_a_gateway(stack: Stack) -> None:
    stack.up(GATEWAYS, WORKERS)
    answer = attack_as_another_user(*targets(stack))
    check_refused(answer)
    assert len(answer["gateway"]) == 4 * GATEWAYS, "a gateway is only in the network of web"


@pytest.mark.parametrize("network", ["broker", "edge"])
def test_a_container_in_the_same_network_gets_nothing(stack: Stack, network: str) -> None:
    stack.up(GATEWAYS, WORKERS)
    redis, *gateways = targets(stack)
    image = inspected(stack.containers("simulator")[0])["Image"]
    options = ["--network", f"{stack.project}_{network}", "--label", f"com.docker.compose.project={stack.project}"]
    if network == "broker":
        assert docker("run", "--rm", *options, image, "python", "-c", REACHES_GATEWAY, *gateways) == ""
        answer = json.loads(docker("run", "--rm", *options, image, "python", "-c", ATTACK, redis))
        assert set(answer["redis"].values()) <= {"-NOAUTH", "-WRONGPASS", "-ERR"}
    else:
        script = ATTACK.replace("ask_redis(redis, command)", "'-NOAUTH'")
        check_refused(json.loads(docker("run", "--rm", *options, image, "python", "-c", script, redis, *gateways)))


def test_a_worker_reaches_no_gateway_and_reads_no_signing_key(stack: Stack) -> None:
    stack.up(GATEWAYS, WORKERS)
    worker = stack.containers("worker")[0]
    gateways = targets(stack)[1:]
    assert docker("exec", worker, "python", "-c", REACHES_GATEWAY, "gateway", *gateways) == ""
    script = """
import redis
client = redis.Redis.from_url(open("/run/generated/redis-url").read().strip())
for words in ("GET mc:signing", "CONFIG GET *", "KEYS *", "FLUSHALL", "ACL LIST", "HGETALL mc:bucket:{x}", "PING"):
    try:
        client.execute_command(*words.split())
        print(words)
    except redis.exceptions.NoPermissionError:
        pass
"""
    assert docker("exec", worker, "python", "-c", script).strip() == "PING"


def generated(stack: Stack) -> dict[str, str]:
    """The secrets that the stack has made, by service."""
    found = {}
    for service in ("gateway", "worker", "web"):
        container = stack.containers(service)[0]
        found[service] = docker("exec", container, "sh", "-c", "cat /run/generated/*")
    return found


def test_the_secrets_outlive_a_second_up_and_no_inspection_shows_them(stack: Stack) -> None:
    stack.up(GATEWAYS, WORKERS)
    before = generated(stack)
    words = {word for text in before.values() for word in text.replace(":", " ").replace("@", " ").split()}
    secrets = [word for word in words if len(word) == 64]
    assert len(secrets) == 3, "gateway, worker and proxy"
    stack.up(GATEWAYS, WORKERS)
    assert generated(stack) == before
    containers = stack.compose("ps", "--all", "--quiet").split()
    shown = "".join(docker("inspect", container) for container in containers) + stack.compose("logs", "--no-color")
    assert [secret for secret in secrets if secret in shown] == []
