"""Each way in which a provider fails ends in a `done` that tells the truth."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.system.conftest import Stack, start_stream
from tests.viewers import read_events

FAULTS: dict[str, dict[str, Any]] = {
    "fault-401": {"status": "failed", "code": "invalid_api_key", "http_status": 401, "retryable": False},
    "fault-500": {"status": "failed", "http_status": 500, "retryable": True},
    "fault-429": {"status": "completed"},
    "fault-stall-first": {"status": "failed", "code": "upstream_timeout", "retryable": True},
    "fault-stall-middle": {"status": "failed", "code": "upstream_timeout", "retryable": True},
    "fault-drop": {"status": "failed", "code": "upstream_disconnected", "retryable": True},
    "fault-truncated": {"status": "failed", "code": "upstream_truncated", "retryable": True},
    "fault-error-frame": {"status": "failed"},
    "fault-garbage": {"status": "failed", "code": "upstream_invalid", "retryable": True},
    "fault-surrogate": {"status": "completed"},
    "fault-huge": {"status": "completed"},
    "no-such-model": {"status": "failed", "code": "model_not_found", "http_status": 404, "retryable": False},
}


@pytest.mark.parametrize("model", FAULTS)
async def test_the_stream_tells_what_became_of_it(http: httpx2.AsyncClient, stack: Stack, model: str) -> None:
    expected = FAULTS[model]
    # The user field keeps concurrent runs of `fault-429` apart at the simulator.
    stream_id = await start_stream(http, stack, model, user=f"system-{model}")
    responses = await asyncio.gather(*(read_events(http, stack.events_url(stream_id, at)) for at in (0, 1)))
    assert responses[0].logged == responses[1].logged
    done = responses[0].done
    assert done["status"] == expected["status"], done
    error = done["error"]
    if expected["status"] == "completed":
        assert error is None
        assert done["finish_reason"] == "stop"
    else:
        assert error["message"]
        for name in ("code", "http_status", "retryable"):
            if name in expected:
                assert error[name] == expected[name], error
    status = (await http.get(f"{stack.gateways[0].url}/v1/streams/{stream_id}")).json()
    assert (status["status"], status["error"]) == (done["status"], error)


async def test_what_was_written_before_a_failure_stays(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start_stream(http, stack, "fault-drop")
    assert (await read_events(http, stack.events_url(stream_id))).text
    completion = (await http.get(f"{stack.gateways[1].url}/v1/streams/{stream_id}/completion")).json()
    assert completion["choices"][0]["message"]["content"]
    assert completion["choices"][0]["finish_reason"] is None
    assert completion["manycast"]["status"] == "failed"


async def test_an_emoji_that_the_provider_cut_in_two_is_whole_again(http: httpx2.AsyncClient, stack: Stack) -> None:
    stream_id = await start_stream(http, stack, "fault-surrogate")
    text = (await read_events(http, stack.events_url(stream_id))).text
    assert "\N{GRINNING FACE}" in text.encode("utf-16", "surrogatepass").decode("utf-16")
