"""Signals that stop a gateway which has not begun to serve."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from manycast.local_stack.port import free_port
from tests.broker import Broker
from tests.stack import DEADLINE_S, Part

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads handled signals from /proc")


@pytest.fixture
def starting(broker: Broker) -> Iterator[Part]:
    gateway = Part("gateway", REDIS_URL=broker.url, MANYCAST_PORT=str(free_port()))
    yield gateway
    gateway.close()


def wait_until_handled(process: Part, signum: signal.Signals) -> None:
    """Waits until the process has a handler for the signal."""
    status = Path(f"/proc/{process.process.pid}/status")
    deadline = time.monotonic() + DEADLINE_S
    while not _handled(status) >> (signum - 1) & 1:
        assert process.process.poll() is None, process.output
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _handled(status: Path) -> int:
    """The signals with a handler, as a bit mask (proc_pid_status(5), SigCgt)."""
    return int(status.read_text().split("SigCgt:")[1].split()[0], 16)


def test_a_stop_signal_during_start_up_stops_the_gateway(starting: Part) -> None:
    wait_until_handled(starting, signal.SIGTERM)
    starting.signal(signal.SIGTERM)
    assert starting.wait() == 0
    assert "Traceback" not in starting.output
