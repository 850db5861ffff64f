import json

from simulator.envelope import Envelope, Usage, encode
from simulator.script import Delta


def envelope(include_usage: bool) -> Envelope:
    return Envelope("chatcmpl-1", 1, "demo", include_usage, Usage(prompt_tokens=3))


def test_half_a_surrogate_pair_travels_as_an_escape_and_other_text_as_itself() -> None:
    assert encode("é\ud83d") == b'"\\u00e9\\ud83d"'
    assert encode("é😀") == '"é😀"'.encode()


def test_a_frame_is_one_line_of_json_with_the_shared_fields_and_the_choice() -> None:
    frame = envelope(include_usage=False).chunk_frame(Delta({"content": "a\nb"}, choice=1))
    assert frame.startswith(b"data: {")
    assert frame.count(b"\n") == 2
    assert frame.endswith(b"\n\n")
    chunk = json.loads(frame[6:])
    names = ["id", "object", "created", "model", "service_tier", "system_fingerprint", "choices"]
    assert list(chunk) == names
    choice = {"index": 1, "delta": {"content": "a\nb"}, "logprobs": None, "finish_reason": None}
    assert chunk["choices"] == [choice]


def test_usage_is_null_in_every_chunk_but_the_last_where_it_was_asked_for() -> None:
    shell = envelope(include_usage=True)
    assert json.loads(shell.chunk_frame(Delta({"content": "a"}))[6:])["usage"] is None
    last = json.loads(shell.usage_frame()[6:])
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (3, 1)
    assert last["usage"]["total_tokens"] == 4
