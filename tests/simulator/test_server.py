"""How it starts and how it stops."""

import json
import signal
import socket
from collections.abc import Iterator

import httpx2
import pytest

from tests.simulator.process import DEADLINE_S, WITHOUT_PAUSES, Simulator, body, start


@pytest.fixture
def own_simulator() -> Iterator[Simulator]:
    simulator = Simulator(**WITHOUT_PAUSES)
    yield simulator
    if simulator.process.poll() is None:
        simulator.process.kill()
    simulator.process.communicate()


def test_it_prints_the_address_it_took_on_one_line(own_simulator: Simulator) -> None:
    assert own_simulator.first_line == f"simulator listens on {own_simulator.url}\n"
    assert httpx2.get(f"{own_simulator.url}/healthz").status_code == 200


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_with_streams_open_and_says_nothing(own_simulator: Simulator, stop_signal: int) -> None:
    with httpx2.Client(base_url=own_simulator.url, timeout=DEADLINE_S) as client:
        stalled = client.stream("POST", "/v1/chat/completions", json=body("fault-stall-middle", stream=True))
        crawling = client.stream(
            "POST",
            "/v1/chat/completions",
            json=body("demo", stream=True, simulator={"chunks_per_s": 0.01, "first_chunk_ms": 600_000}),
        )
        with stalled as one, crawling as two:
            assert own_simulator.stop(stop_signal) == (0, "", "")
            for answer in (one, two):
                with pytest.raises(httpx2.RemoteProtocolError):
                    answer.read()


def test_it_does_not_wait_for_a_client_who_does_not_read(own_simulator: Simulator) -> None:
    url = httpx2.URL(own_simulator.url)
    fields = body("fault-huge", stream=True, simulator={"chunks": 100})
    asked = json.dumps(fields).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(asked)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((url.host, url.port))
        client.sendall(head + asked)
        client.recv(1)
        assert own_simulator.stop() == (0, "", "")


def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(SIMULATOR_PORT=str(port))
        output, errors = process.communicate(timeout=DEADLINE_S)
    said = f"simulator: cannot listen on 127.0.0.1:{port}: the port is taken; choose another with SIMULATOR_PORT\n"
    assert (process.returncode, output, errors) == (1, "", said)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "many"), ("PORT", "70000"), ("CHUNKS_PER_S", "-1"), ("JITTER", "2"), ("HOST", "no host at all")],
)
def test_a_setting_that_cannot_be_used_is_said_in_one_line(name: str, value: str) -> None:
    process = start(**{f"SIMULATOR_{name}": value})
    output, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, output, errors.count("\n")) == (1, "", 1)
    assert errors.startswith("simulator: ")
    assert value in errors if name == "HOST" else f"SIMULATOR_{name}: " in errors
