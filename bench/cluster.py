"""`python -m bench.cluster`: how soon a worker claims a run on an idle cluster, and how evenly nodes share a load.

The cluster has three primaries with a replica each, all on this machine, with one gateway and one worker.
"""

import argparse
import http.client
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from bench.program import OTHER_CORE, SERVER_CORE, BenchError, Program
from contract.scripts import load_script
from manycast.chaos.redis_cluster import RedisCluster
from manycast.chaos.redis_node import RedisNode, TopologyError
from manycast.local_stack.broker import BrokerError, find_binary
from manycast.local_stack.port import free_port

HOST = "127.0.0.1"
DEADLINE_S = 60.0
WARM_UP = 20
CHUNKS, CHUNKS_PER_S = 100, 20
FAST = 1_000_000.0
OWN_COMMANDS = ("cluster", "config", "info", "monitor", "ping", "psync", "replconf")
"""Commands of the cluster itself and of this benchmark."""

_CALL = re.compile(rb'^\+(\d+\.\d+) \[0 [^\]]*\] "evalsha" "([0-9a-f]{40})" .*?:([^:"]+):meta"', re.IGNORECASE)
"""A script with the meta key of a run, as MONITOR prints it: seconds of the node's clock, the script, the stream."""


class Calls:
    """When each run was submitted and claimed, by the clock of the node that has it: in seconds, by stream id."""

    def __init__(self, nodes: Sequence[RedisNode]) -> None:
        self.submitted: dict[str, float] = {}
        self.claimed: dict[str, float] = {}
        self._scripts = {
            load_script("submit", "SPUBLISH").digest.encode(): self.submitted,
            load_script("claim", "SPUBLISH").digest.encode(): self.claimed,
        }
        self._lines = [socket.create_connection((HOST, node.port)) for node in nodes]
        for line in self._lines:
            line.sendall(b"MONITOR\r\n")
            threading.Thread(target=self._read, args=(line,), daemon=True).start()

    def waits_ms(self) -> list[float]:
        """From the submission to the claim of each run."""
        return [(self.claimed[run] - at) * 1000 for run, at in self.submitted.items() if run in self.claimed]

    def close(self) -> None:
        for line in self._lines:
            line.shutdown(socket.SHUT_RDWR)
            line.close()

    def _read(self, line: socket.socket) -> None:
        with suppress(OSError, ValueError), line.makefile("rb") as reader:
            for text in reader:
                if found := _CALL.match(text):
                    at, script, stream_id = found.groups()
                    if script in self._scripts:
                        self._scripts[script].setdefault(stream_id.decode(), float(at))


class Stack:
    """The cluster, a gateway, a worker and a provider, on free ports."""

    def __init__(self, stack: ExitStack, streams: int) -> None:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="mc-cluster-")))
        self.cluster = stack.enter_context(closing(RedisCluster(Path(find_binary()), directory)))
        self.cluster.start_processes()
        self.cluster.form()
        provider_port, self.port = free_port(), free_port()
        provider = stack.enter_context(Program([sys.executable, "-m", "bench.provider", str(provider_port)]))
        provider.wait_for(provider_port)
        limits = dict.fromkeys(("RUNS_AT_ONCE", "REQUESTS_PER_MINUTE", "ADDRESS_CONNECTION_LIMIT"), "0")
        gateway = {f"MANYCAST_{name}": value for name, value in limits.items()}
        worker = {
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": f"http://{HOST}:{provider_port}/v1",
            "MANYCAST_WORKER_STREAMS": str(streams),
        }
        shared = {"REDIS_URL": self.cluster.url, "MANYCAST_LOG_LEVEL": "warning", "MANYCAST_PORT": str(self.port)}
        for name, own, core in (("gateway", gateway, OTHER_CORE), ("worker", worker, SERVER_CORE)):
            program = Program([sys.executable, "-m", name], core=core, environment={**shared, **own})
            stack.enter_context(program)
            if name == "gateway":
                program.wait_for_answer(f"http://{HOST}:{self.port}/healthz")
        self._wait_until_ready()

    def submit(self, chunks: int, chunks_per_s: float) -> str:
        """The id of a new run. Raises: BenchError."""
        options = {"chunks": chunks, "chunks_per_s": chunks_per_s}
        body = {"model": "bench", "messages": [{"role": "user", "content": "?"}], "bench": options}
        answer = json.loads(self._ask("POST", "/v1/streams", json.dumps(body)))
        if "id" not in answer:
            raise BenchError(f"a run was refused: {answer}")
        stream_id: str = answer["id"]
        return stream_id

    def wait_for(self, stream_id: str) -> None:
        """Waits until the run has completed. Raises: BenchError."""
        if b'"status":"completed"' not in self._ask("GET", f"/v1/streams/{stream_id}/events"):
            raise BenchError(f"run {stream_id} did not complete")

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        with closing(http.client.HTTPConnection(HOST, self.port, timeout=DEADLINE_S)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            return connection.getresponse().read()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while b'"ready":true' not in self._ask("GET", "/readyz"):
            if time.monotonic() > deadline:
                raise BenchError("the stack did not become ready")
            time.sleep(0.05)


def measure_claims(stack: Stack, runs: int) -> list[float]:
    """Milliseconds from the submission to the claim of each of so many runs, one after the other."""
    for _ in range(WARM_UP):
        stack.wait_for(stack.submit(1, FAST))
    with closing(Calls(stack.cluster.primaries())) as calls:
        for _ in range(runs):
            stack.wait_for(stack.submit(1, FAST))
        deadline = time.monotonic() + DEADLINE_S
        while len(waits_ms := calls.waits_ms()) < runs:
            if time.monotonic() > deadline:
                raise BenchError(f"MONITOR showed {len(waits_ms)} of {runs} runs")
            time.sleep(0.05)
    return waits_ms


@dataclass(frozen=True, slots=True)
class Work:
    """What a node has done: `commands`, those of scripts included, and seconds of CPU."""

    commands: int
    cpu_s: float


def measure_spread(stack: Stack, streams: int) -> list[Work]:
    """What each primary does for so many runs at once."""
    primaries = stack.cluster.primaries()
    before = [_work_of(node) for node in primaries]
    for stream_id in [stack.submit(CHUNKS, CHUNKS_PER_S) for _ in range(streams)]:
        stack.wait_for(stream_id)
    after = [_work_of(node) for node in primaries]
    return [Work(now.commands - then.commands, now.cpu_s - then.cpu_s) for now, then in zip(after, before, strict=True)]


def _work_of(node: RedisNode) -> Work:
    info = dict(line.split(":", 1) for line in node.call("INFO", "ALL").decode().splitlines() if ":" in line)
    calls = {name.removeprefix("cmdstat_"): text for name, text in info.items() if name.startswith("cmdstat_")}
    commands = sum(
        int(text.partition("calls=")[2].partition(",")[0])
        for name, text in calls.items()
        if name.partition("|")[0] not in OWN_COMMANDS
    )
    return Work(commands, float(info["used_cpu_user"]) + float(info["used_cpu_sys"]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200, help="how many runs are submitted to the idle cluster")
    parser.add_argument("--streams", type=int, default=300, help="how many runs make the load")
    options = parser.parse_args()
    with ExitStack() as parts:
        stack = Stack(parts, options.streams)
        cuts = quantiles(measure_claims(stack, options.runs), n=100)
        work = measure_spread(stack, options.streams)
    print(f"from submit to claim, {options.runs} runs one by one: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms\n")
    print(f"{options.streams} runs at once, {CHUNKS} chunks each:\n")
    print("| node | commands | share | CPU | share |\n|---|---|---|---|---|")
    commands, cpu_s = sum(one.commands for one in work), sum(one.cpu_s for one in work)
    for number, one in enumerate(work, start=1):
        shares = (one.commands / commands, one.cpu_s / cpu_s)
        print(f"| {number} | {one.commands:,} | {shares[0]:.1%} | {one.cpu_s:.1f} s | {shares[1]:.1%} |")


if __name__ == "__main__":
    try:
        main()
    except (BenchError, BrokerError, TopologyError, OSError) as error:
        sys.exit(f"bench: {error}")
