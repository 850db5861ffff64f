"""One run: a fresh server, the load against it, and what came of it."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contender import CONTENDERS, load_command
from bench.program import BenchError
from bench.workload import Workload

WITHIN_S = 45


@dataclass(frozen=True, slots=True)
class Result:
    """Units last in the names. `is_correct`: each viewer got each event once, in order, byte for byte."""

    contender: str
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
        """CPU of the server's processes for one event delivered to one viewer."""
        return self.cpu_us / max(1, self.delivered)

    @property
    def events_per_s(self) -> float:
        return self.delivered / self.wall_s


def measure(directory: Path, workload: Workload, contender: str) -> Result:
    """Raises: BenchError where this contender cannot be measured here, or ends before its time."""
    with CONTENDERS[contender](directory, workload.streams) as target:
        command = load_command(directory, target, [*workload.arguments(), "--within", str(WITHIN_S)])
        try:
            ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S + 60)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{contender}: the load driver did not end") from None
    if not ran.stdout:
        raise BenchError(f"{contender}: {ran.stderr.strip()}")
    return _read(json.loads(ran.stdout), workload, contender)


def _read(said: dict[str, Any], workload: Workload, contender: str) -> Result:
    groups = said["groups"]
    server = groups["server"]
    return Result(
        contender=contender,
        workload=workload.name,
        is_correct=said["correct"],
        cpu_us=server["cpu_us"],
        redis_us=groups.get("redis", {}).get("cpu_us", 0.0),
        p50_ms=said["p50_ms"],
        p99_ms=said["p99_ms"],
        wall_s=said["wall_s"],
        delivered=said["delivered"],
        viewer_bytes=(server["pss_joined"] - server["pss_before"]) / said["viewers"],
        client_share=said["client_share"],
    )
