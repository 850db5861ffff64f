"""Runs one workload against one new server, and reads the result of the load driver."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.program import BenchError
from bench.servers import SERVERS, load_command
from bench.workload import Workload

TIME_LIMIT_S = 45


@dataclass(frozen=True, slots=True)
class Result:
    """`is_correct`: each viewer received each event once, in order, byte for byte."""

    server: str
    workload: str
    is_correct: bool
    cpu_us: float
    redis_us: float
    p50_ms: float
    p99_ms: float
    wall_s: float
    delivered: int
    viewer_bytes: float
    client_share: float

    @property
    def us_per_event(self) -> float:
        """CPU time of the server's processes per event and viewer."""
        return self.cpu_us / max(1, self.delivered)

    @property
    def events_per_s(self) -> float:
        return self.delivered / self.wall_s


def measure(directory: Path, workload: Workload, server: str) -> Result:
    """Raises: BenchError if the server cannot run on this machine, or ends too early."""
    with SERVERS[server](directory, workload.streams) as target:
        command = load_command(directory, target, [*workload.arguments(), "--within", str(TIME_LIMIT_S)])
        try:
            ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIME_LIMIT_S + 60)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{server}: the load driver did not end") from None
    if not ran.stdout:
        raise BenchError(f"{server}: {ran.stderr.strip()}")
    return _read(json.loads(ran.stdout), workload, server)


def _read(output: dict[str, Any], workload: Workload, server: str) -> Result:
    groups = output["groups"]
    server_group = groups["server"]
    return Result(
        server=server,
        workload=workload.name,
        is_correct=output["correct"],
        cpu_us=server_group["cpu_us"],
        redis_us=groups.get("redis", {}).get("cpu_us", 0.0),
        p50_ms=output["p50_ms"],
        p99_ms=output["p99_ms"],
        wall_s=output["wall_s"],
        delivered=output["delivered"],
        viewer_bytes=(server_group["pss_joined"] - server_group["pss_before"]) / output["viewers"],
        client_share=output["client_share"],
    )
