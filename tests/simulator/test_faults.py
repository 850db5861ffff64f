"""Each fault, as a client meets it, streamed and whole."""

import asyncio
import json
from uuid import uuid4

import httpx2
import openai
import pytest

from tests.simulator.process import body

CALL = "/v1/chat/completions"
SILENCE_S = 0.3


async def read_until_the_end(client: httpx2.AsyncClient, model: str) -> list[str]:
    """The data of each frame; raises what the connection raises."""
    answer = await client.post(CALL, json=body(model, stream=True))
    assert answer.status_code == 200
    return [line.removeprefix("data: ") for line in answer.text.splitlines() if line]


def contents(frames: list[str]) -> list[str]:
    return [json.loads(frame)["choices"][0]["delta"].get("content", "") for frame in frames]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("fault-401", (401, "invalid_request_error", "invalid_api_key")),
        ("fault-500", (500, "server_error", None)),
        ("no-such-model", (404, "invalid_request_error", "model_not_found")),
    ],
)
async def test_a_refusal_has_openais_status_type_and_code(
    http: httpx2.AsyncClient, model: str, expected: tuple[int, str, str | None], stream: bool
) -> None:
    for _ in range(3):
        answer = await http.post(CALL, json=body(model, stream=stream))
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert (answer.status_code, error["type"], error["code"]) == expected


async def test_fault_429_refuses_once_and_says_when_to_come_back(http: httpx2.AsyncClient) -> None:
    request = body("fault-429", user=str(uuid4()))
    first = await http.post(CALL, json=request)
    assert (first.status_code, first.headers["retry-after"]) == (429, "1")
    assert first.json()["error"]["code"] == "rate_limit_exceeded"
    assert [(await http.post(CALL, json=request)).status_code for _ in range(3)] == [200, 429, 200]


async def test_fault_429_keeps_apart_users_who_come_at_once(http: httpx2.AsyncClient) -> None:
    async def try_until_let_in() -> list[int]:
        request = body("fault-429", user=str(uuid4()), stream=True, simulator={"failures": 2})
        return [(await http.post(CALL, json=request)).status_code for _ in range(3)]

    assert await asyncio.gather(*(try_until_let_in() for _ in range(30))) == [[429, 429, 200]] * 30


async def test_fault_500_recovers_after_the_number_that_the_request_names(http: httpx2.AsyncClient) -> None:
    request = body("fault-500", user=str(uuid4()), simulator={"failures": 1})
    assert [(await http.post(CALL, json=request)).status_code for _ in range(2)] == [500, 200]


async def test_fault_stall_first_sends_headers_and_then_nothing(http: httpx2.AsyncClient) -> None:
    async with http.stream("POST", CALL, json=body("fault-stall-first", stream=True)) as answer:
        assert answer.status_code == 200
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SILENCE_S):
                await anext(answer.aiter_bytes())


async def expect_silence_after_six_frames(answer: httpx2.Response) -> None:
    """The frame of the role, and five of text."""
    lines = answer.aiter_lines()
    frames = [(await anext(lines)).removeprefix("data: ") for _ in range(11)][::2]
    assert len(contents(frames)) == 6
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE_S):
            assert await anext(lines) == "", "the end of the sixth frame"
            await anext(lines)


async def test_fault_stall_middle_falls_silent_after_some_chunks(http: httpx2.AsyncClient) -> None:
    request = body("fault-stall-middle", stream=True, simulator={"fault_after": 5})
    async with http.stream("POST", CALL, json=request) as answer:
        await expect_silence_after_six_frames(answer)


async def test_a_held_answer_waits_until_it_is_released(http: httpx2.AsyncClient) -> None:
    held = body("demo-long", stream=True, simulator={"hold_after": 5, "chunks": 20})
    async with http.stream("POST", CALL, json=held) as answer:
        await expect_silence_after_six_frames(answer)
    async with http.stream("POST", CALL, json=held) as answer:
        assert (await http.post("/simulator/release")).status_code == 204
        frames = [line.removeprefix("data: ") async for line in answer.aiter_lines() if line]
    assert len(contents(frames[:-1])) >= 20
    assert frames[-1] == "[DONE]"


@pytest.mark.parametrize("model", ["fault-stall-first", "fault-stall-middle"])
async def test_a_stalled_answer_that_is_not_streamed_sends_nothing(http: httpx2.AsyncClient, model: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE_S):
            await http.post(CALL, json=body(model))


@pytest.mark.parametrize("stream", [True, False])
async def test_fault_drop_cuts_the_connection_within_the_body(http: httpx2.AsyncClient, stream: bool) -> None:
    got = b""
    with pytest.raises(httpx2.RemoteProtocolError):
        async with http.stream("POST", CALL, json=body("fault-drop", stream=stream)) as answer:
            assert answer.status_code == 200
            async for part in answer.aiter_raw():
                got += part
    assert (got.count(b"data: ") == 13) if stream else got


async def test_fault_truncated_ends_cleanly_and_says_nothing(http: httpx2.AsyncClient, sdk: openai.AsyncOpenAI) -> None:
    frames = await read_until_the_end(http, "fault-truncated")
    assert len(contents(frames)) == 13
    assert all(json.loads(frame)["choices"][0]["finish_reason"] is None for frame in frames)
    whole = (await http.post(CALL, json=body("fault-truncated"))).json()
    assert whole["choices"][0]["finish_reason"] is None
    assert whole["choices"][0]["message"]["content"] == "".join(contents(frames))


async def test_fault_error_frame_ends_with_the_providers_error(
    http: httpx2.AsyncClient, sdk: openai.AsyncOpenAI
) -> None:
    *frames, last = await read_until_the_end(http, "fault-error-frame")
    assert len(contents(frames)) == 13
    assert json.loads(last)["error"]["code"] == "server_error"
    with pytest.raises(openai.APIError, match="had an error"):
        async with await sdk.chat.completions.create(
            model="fault-error-frame", messages=[{"role": "user", "content": "x"}], stream=True
        ) as chunks:
            async for _ in chunks:
                pass
    assert (await http.post(CALL, json=body("fault-error-frame"))).status_code == 500


async def test_fault_garbage_has_one_line_that_is_no_json_and_goes_on(http: httpx2.AsyncClient) -> None:
    frames = await read_until_the_end(http, "fault-garbage")
    assert frames.pop() == "[DONE]"
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(frames.pop(13))
    assert contents(frames)[-2:] == [" and so on.", ""]
    with pytest.raises(ValueError, match="Unterminated"):
        (await http.post(CALL, json=body("fault-garbage"))).json()


async def test_fault_surrogate_splits_emoji_that_are_whole_when_joined(http: httpx2.AsyncClient) -> None:
    frames = await read_until_the_end(http, "fault-surrogate")
    assert sum('"content":"\\ud83d"' in frame for frame in frames) == 1
    assert frames.pop() == "[DONE]"
    joined = "".join(contents(frames)).encode("utf-16", "surrogatepass").decode("utf-16")
    assert "\N{GRINNING FACE}" in joined
    assert "\N{WAVING HAND SIGN}" in joined
    whole = (await http.post(CALL, json=body("fault-surrogate"))).json()
    assert whole["choices"][0]["message"]["content"] == joined


async def test_fault_huge_has_a_chunk_of_a_megabyte_and_completes(http: httpx2.AsyncClient) -> None:
    frames = await read_until_the_end(http, "fault-huge")
    assert frames.pop() == "[DONE]"
    assert max(map(len, contents(frames))) == 1_000_000
    assert json.loads(frames[-1])["choices"][0]["finish_reason"] == "stop"
