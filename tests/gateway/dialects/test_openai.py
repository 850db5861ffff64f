"""What an OpenAI SDK reads."""

import copy
import json
from typing import Any

import pytest

from contract.errors import RunError
from contract.event import Chunk
from gateway.dialects.openai import OpenAIDialect
from tests.gateway.fanout.recording import USAGE, attempt, chunk_of, done, restart, write_all

USAGE_CHUNK = {**chunk_of({}), "choices": [], "usage": USAGE}
RECORDINGS: dict[str, list[Chunk]] = {
    "text": [chunk_of({"role": "assistant", "content": ""}), chunk_of({"content": "Hi"}), chunk_of({}, "stop")],
    "vendor fields that come, change and go": [
        chunk_of({"content": "a"}, system_fingerprint="fp_1", x_groq={"id": "req"}),
        chunk_of({"content": "b"}, system_fingerprint="fp_2", service_tier=None),
        chunk_of({"reasoning_content": "hm"}, "length", **{"$unset": ["x"], "$$": 1}),
    ],
    "tool calls": [
        chunk_of({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]}),
        chunk_of({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}, "tool_calls"),
    ],
    "a first chunk without choices": [
        {**chunk_of({}), "choices": [], "prompt_filter_results": []},
        chunk_of({}, "stop"),
    ],
    "numbers that only look equal": [
        chunk_of({}, created=1),
        chunk_of({}, created=1.0),
        chunk_of({}, "stop", created=True),
    ],
    "half a surrogate pair": [chunk_of({"content": "\ud83d"}), chunk_of({"content": "\ude00"}, "stop")],
}


def read_frames(written: bytes) -> list[Any]:
    """The frames of a stream that has `data:` lines and nothing else."""
    assert written.endswith(b"\n\n")
    frames = written.decode().removesuffix("\n\n").split("\n\n")
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    return [frame[6:] if frame == "data: [DONE]" else json.loads(frame[6:]) for frame in frames]


@pytest.mark.parametrize("chunks", RECORDINGS.values(), ids=RECORDINGS)
def test_the_providers_chunks_come_out_as_they_went_in(chunks: list[Chunk]) -> None:
    frames = read_frames(write_all(OpenAIDialect(with_usage=False), [*attempt(chunks), done()]))
    assert json.dumps(frames[:-1], sort_keys=True) == json.dumps(chunks, sort_keys=True)
    assert frames[-1] == "[DONE]"


def test_a_client_that_did_not_ask_for_usage_sees_none_of_it() -> None:
    chunks = [chunk_of({"content": "a"}, "stop", usage=None), USAGE_CHUNK]
    frames = read_frames(write_all(OpenAIDialect(with_usage=False), [*attempt(chunks), done()]))
    assert frames == [chunk_of({"content": "a"}, "stop"), "[DONE]"]


def test_a_client_that_asked_gets_the_usage_last_and_null_until_then() -> None:
    chunks = [chunk_of({"content": "a"}, "stop"), USAGE_CHUNK]
    frames = read_frames(write_all(OpenAIDialect(with_usage=True), [*attempt(chunks), done()]))
    assert frames == [chunk_of({"content": "a"}, "stop", usage=None), USAGE_CHUNK, "[DONE]"]


@pytest.mark.parametrize("with_usage", [False, True])
def test_usage_in_every_chunk_is_sent_once_and_last(with_usage: bool) -> None:
    so_far = {**USAGE, "completion_tokens": 1}
    chunks = [chunk_of({"content": "a"}, usage=so_far), chunk_of({"content": "b"}, "stop", usage=USAGE)]
    frames = read_frames(write_all(OpenAIDialect(with_usage=with_usage), [*attempt(chunks), done()]))
    nothing: dict[str, Any] = {"usage": None} if with_usage else {}
    assert frames[:2] == [chunk_of({"content": "a"}, **nothing), chunk_of({"content": "b"}, "stop", **nothing)]
    assert frames[2:] == [*[USAGE_CHUNK] * with_usage, "[DONE]"]


def test_a_failed_run_ends_with_an_error_and_without_done() -> None:
    error = RunError("server_error", "It broke.", "server_error", http_status=500)
    frames = read_frames(write_all(OpenAIDialect(with_usage=False), [*attempt([chunk_of({})]), done("failed", error)]))
    told = {"message": "It broke.", "type": "server_error", "param": None, "code": "server_error"}
    assert frames == [chunk_of({}), {"error": told}]


def test_a_cancelled_run_is_no_complete_answer() -> None:
    frames = read_frames(write_all(OpenAIDialect(with_usage=False), [done("cancelled")]))
    assert [frame["error"]["code"] for frame in frames] == ["cancelled"]


def test_a_restart_after_the_first_chunk_is_the_end() -> None:
    again = [restart(2), *attempt([chunk_of({"content": "again"})], 2, 2), done()]
    dialect = OpenAIDialect(with_usage=False)
    frames = read_frames(write_all(dialect, [*attempt([chunk_of({})]), *again]))
    assert frames[0] == chunk_of({})
    assert [frame["error"]["code"] for frame in frames[1:]] == ["worker_lost"]
    assert dialect.closed


def test_a_restart_that_nobody_can_notice_is_not_told() -> None:
    dialect = OpenAIDialect(with_usage=False)
    write_all(dialect, attempt([chunk_of({"content": "lost"})]))
    dialect.forget()
    chunk = chunk_of({"content": "again"}, "stop", created=2)
    assert read_frames(write_all(dialect, [restart(2), *attempt([chunk], 2, 2), done()])) == [chunk, "[DONE]"]


def test_a_copy_goes_on_from_where_it_was_made() -> None:
    entries = [*attempt([chunk_of({"content": str(n)}) for n in range(4)]), done()]
    dialect = OpenAIDialect(with_usage=False)
    write_all(dialect, entries[:3])
    twin = copy.deepcopy(dialect)
    assert write_all(dialect, entries[3:]) == write_all(twin, entries[3:]) != b""


def test_a_keep_alive_is_a_comment_of_its_own() -> None:
    dialect = OpenAIDialect(with_usage=False)
    assert dialect.write_notice(b"ping", b'{"state":"waiting"}') == b": ping\n\n"
    assert dialect.write_notice(b"viewers", b'{"viewers":1}') == b""
    assert dialect.write_retry(1000) == b""
