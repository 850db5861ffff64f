"""Chunks as providers really send them, by shape, and a strategy for chunks that nobody has sent yet."""

import json
from typing import Any

from hypothesis import strategies as st

Chunk = dict[str, Any]


def _chunk(*choices: Chunk, **more: Any) -> Chunk:
    head = {"id": "chatcmpl-9x", "object": "chat.completion.chunk", "created": 1763826000, "model": "gpt-4o-2024-08-06"}
    return {**head, **more, "choices": list(choices)}


def _choice(delta: Chunk, *, index: int = 0, finish: str | None = None, **more: Any) -> Chunk:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish, **more}


def _call(index: int, arguments: str, **more: Any) -> Chunk:
    return {"tool_calls": [{"index": index, **more, "function": {"arguments": arguments}}]}


_LOGPROB = {
    "token": "Hé",
    "logprob": -0.00012,
    "bytes": [72, 195, 169],
    "top_logprobs": [{"token": "h", "logprob": -9.5}],
}
_USAGE = {
    "prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21,
    "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 7},
}  # fmt: skip

RUNS: dict[str, list[Chunk]] = {
    "text": [
        _chunk(_choice({"role": "assistant", "content": "", "refusal": None}), system_fingerprint="fp_1", usage=None),
        _chunk(_choice({"content": "Hel"}), system_fingerprint="fp_1", usage=None),
        _chunk(_choice({"content": "lo"}), system_fingerprint="fp_1", usage=None),
        _chunk(_choice({}, finish="stop"), system_fingerprint="fp_1", usage=None),
        _chunk(system_fingerprint="fp_1", usage=_USAGE),
    ],
    "tools": [
        _chunk(_choice({"role": "assistant", "content": None})),
        _chunk(_choice(_call(0, "", id="call_1", type="function"))),
        _chunk(_choice(_call(0, '{"ci'))),
        _chunk(_choice(_call(0, 'ty":"Köln\\n"}'))),
        _chunk(_choice(_call(1, "{}", id="call_2", type="function"))),
        _chunk(_choice({}, finish="tool_calls")),
    ],
    "refusal": [_chunk(_choice({"role": "assistant", "refusal": "I can"})), _chunk(_choice({"refusal": "not."}))],
    "logprobs": [_chunk(_choice({"content": "Hé"}, logprobs={"content": [_LOGPROB], "refusal": None}))],
    "two choices": [
        _chunk(_choice({"content": "a"}, index=0), _choice({"content": "b"}, index=1)),
        _chunk(_choice({"content": "c"}, index=1)),
        _chunk(_choice({}, index=0, finish="length")),
    ],
    "vendor fields": [
        _chunk(_choice({"reasoning_content": "Hm"}), provider="Other", x_groq={"id": "req_1"}, service_tier="default"),
        _chunk(_choice({"reasoning_content": "."}), provider="Other", service_tier="default"),
        _chunk(_choice({"content": "x"}), provider="Other", x_groq={"usage": {"queue_time": 0.1}}, service_tier=None),
    ],
    "azure: filter results first, and no object": [
        {
            "id": "",
            "object": "",
            "created": 0,
            "model": "",
            "choices": [],
            "prompt_filter_results": [{"prompt_index": 0}],
        },
        _chunk(_choice({"content": "x"}, content_filter_results={"hate": {"filtered": False}})),
    ],
    "no choices at all": [{"id": "x"}, {"id": "x", "choices": []}, {"id": "x", "choices": None}, {}],
    "unicode": [_chunk(_choice({"content": 'naïve 🎈 \u2028\u2029\u0085\ufeff\x7f \u202e \x00\x1f\r\n\t"\\/'}))],
    "half a pair": [_chunk(_choice({"content": "\ud83d"})), _chunk(_choice({"content": "\ude00"}))],
    "half a pair in a name": [{"id": "x", "\ud83d": "\udfff"}, {"id": "x", "\ud83d": 1}, {"id": "x"}],
    "our own marks": [
        {"$unset": ["id"], "$$unset": 1, "$": 2, "$$": 3, "id": "x", "$x": None},
        {"$unset": ["id"], "$$unset": 2, "$": 2, "$$": 4, "id": "x", "$x": 0},
        {"$unset": [], "id": "x", "choices": []},
        {"$unset": {"not": "a list"}},
        {},
    ],
    "equal to Python, different in JSON": [
        {"a": 1, "b": [1], "c": {"d": True}, "e": 0.0, "f": None, "g": ""},
        {"a": 1.0, "b": [1.0], "c": {"d": 1}, "e": -0.0, "f": False, "g": None},
        {"a": True, "b": [True], "c": {"d": 1.0}, "e": 0, "f": 0, "g": 0},
    ],
    "order of nested names": [{"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}],
    "big numbers": [
        {"a": 2**53 + 1, "b": 10**400, "c": 1e-300, "d": -(2**63), "e": [5e-324, 1.7976931348623157e308]},
        {"a": 2**53, "b": 10**400 + 1, "c": 1e-301, "d": -(2**63), "e": [5e-324, 1.7976931348623157e308]},
    ],
    "deep": [json.loads('{"a":' * 100 + "1" + "}" * 100), json.loads('{"a":' * 100 + "2" + "}" * 100)],
}

_TEXTS = st.text(max_size=5) | st.text(alphabet='a\u2028\u2029\x85\ud83d\ude00\x00\n\r"\\/é🎈$', max_size=5)
_NAMES = st.sampled_from(["id", "choices", "usage", "$unset", "$$unset", "$", "$$", "$x", ""]) | _TEXTS
_LOOKALIKES = st.sampled_from([0, 0.0, -0.0, 1, 1.0, True, False, None, "", "1"])
_NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_LEAVES = _TEXTS | _LOOKALIKES | _NUMBERS
VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3), max_leaves=8
)
CHUNKS = st.dictionaries(_NAMES, VALUES, max_size=6)
