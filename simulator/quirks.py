"""Streams that are not quite OpenAI's, as real providers send them: a table of raw bytes. Pure: no I/O.

Each quirk is a model, `quirk-NAME`, that answers every request with these bytes, whatever is asked. Worker, gateway,
page and docs are tested with this table.
"""

import json
from dataclasses import dataclass
from typing import Any

from simulator.script import Fate, Raw, Script

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
NO_FIELDS: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Quirk:
    """`what` completes the sentence "The provider sends…". `pieces` are the bytes of the body, as they arrive."""

    name: str
    what: str
    pieces: tuple[bytes, ...]

    @property
    def model(self) -> str:
        return f"quirk-{self.name}"

    def play(self, _: object) -> Script:
        yield from (Raw(piece) for piece in self.pieces)
        yield Fate.TRUNCATE


def frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def chunk(*choices: dict[str, Any], **fields: Any) -> bytes:
    shared = {"id": "chatcmpl-quirk", "object": "chat.completion.chunk", "created": 1_767_225_600, "model": "quirk"}
    return frame({**shared, "choices": list(choices), **fields})


def choice(delta: dict[str, Any], finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason, **fields}


def said(delta: dict[str, Any], finish_reason: str | None = None, **fields: Any) -> bytes:
    """A chunk with one choice; `fields` belong to the chunk."""
    return chunk(choice(delta, finish_reason), **fields)


def call(fields: dict[str, Any], **function: Any) -> bytes:
    """A chunk with one fragment of a tool call."""
    return said({"tool_calls": [{**fields, "function": function}]})


def role(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def thinking(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def detail(text: str) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "format": "unknown", "id": "reasoning-1", "index": 0}


ROLE = said({"role": "assistant", "content": ""})
STOP = said({}, "stop")
CALLED = said({}, "tool_calls")
HELLO = (ROLE, said({"content": "Hello"}), said({"content": " world"}), STOP)
WEATHER = '{"city":"Oslo"}'
TIME = '{"zone":"CET"}'
LOGPROBS = (
    '{"token":"Hello","logprob":NaN,"bytes":null,"top_logprobs":[{"token":"Hi","logprob":-Infinity,"bytes":null}]}'
)

QUIRKS = {
    quirk.name: quirk
    for quirk in (
        Quirk(
            "empty-finish-reason",
            'an empty `finish_reason` (`""`) in every chunk before the last',
            (
                said({"role": "assistant", "content": "Hello"}, ""),
                said({"content": " world"}, ""),
                STOP,
                DONE,
            ),
        ),
        Quirk(
            "empty-finish-reason-tools",
            'an empty `finish_reason` (`""`) between the fragments of a tool call',
            (
                said(
                    {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "weather"}}]}, ""
                ),
                said({"tool_calls": [{"index": 0, "function": {"arguments": WEATHER[:6]}}]}, ""),
                said({"tool_calls": [{"index": 0, "function": {"arguments": WEATHER[6:]}}]}, ""),
                CALLED,
                DONE,
            ),
        ),
        Quirk("no-finish-reason", "`[DONE]` without any `finish_reason`", (*HELLO[:-1], DONE)),
        Quirk(
            "only-empty-finish-reasons",
            '`[DONE]` after nothing but empty finish reasons (`""`)',
            (said({"content": "Hello"}, ""), said({"content": " world"}, ""), DONE),
        ),
        Quirk(
            "no-finish-reason-tools",
            "`[DONE]` without any `finish_reason` after a tool call",
            (call({"index": 0, "id": "a", "type": "function"}, name="weather", arguments=WEATHER), DONE),
        ),
        Quirk(
            "tools-without-index",
            "tool calls without `index`",
            (
                call({"id": "a", "type": "function"}, name="weather", arguments=WEATHER),
                call({"id": "b", "type": "function"}, name="time", arguments=TIME),
                CALLED,
                DONE,
            ),
        ),
        Quirk(
            "tools-without-index-in-pieces",
            "the fragments of a tool call without `index` and, after the first, without `id`",
            (
                call({"id": "a", "type": "function"}, name="weather", arguments=""),
                call(NO_FIELDS, arguments=WEATHER[:6]),
                call(NO_FIELDS, arguments=WEATHER[6:]),
                call({"id": "b", "type": "function"}, name="time", arguments=""),
                call(NO_FIELDS, arguments=TIME),
                CALLED,
                DONE,
            ),
        ),
        Quirk(
            "tools-at-one-index",
            "several tool calls with the same `index` and different ids",
            (
                call({"index": 0, "id": "a", "type": "function"}, name="weather", arguments=WEATHER),
                call({"index": 0, "id": "b", "type": "function"}, name="time", arguments=TIME[:5]),
                call({"index": 0}, arguments=TIME[5:]),
                CALLED,
                DONE,
            ),
        ),
        Quirk(
            "tools-without-id",
            "tool calls without `id`",
            (
                call({"index": 0, "type": "function"}, name="weather", arguments=WEATHER[:6]),
                call({"index": 0}, arguments=WEATHER[6:]),
                call({"index": 1, "type": "function"}, name="weather", arguments='{"city":"Rome"}'),
                CALLED,
                DONE,
            ),
        ),
        Quirk(
            "tools-without-index-and-id",
            "tool calls without `index` and `id`, all in one chunk",
            (
                said(
                    {
                        "tool_calls": [
                            {"type": "function", "function": {"name": "weather", "arguments": WEATHER}},
                            {"type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
                            {"type": "function", "function": {"name": "time", "arguments": TIME}},
                        ]
                    }
                ),
                CALLED,
                DONE,
            ),
        ),
        Quirk(
            "tools-name-repeated",
            "id, type and name of a tool call again in each fragment",
            (
                call({"index": 0, "id": "a", "type": "function"}, name="weather", arguments=""),
                call({"index": 0, "id": "a", "type": "function"}, name="weather", arguments=WEATHER[:6]),
                call({"index": 0, "id": "a", "type": "function"}, name="weather", arguments=WEATHER[6:]),
                CALLED,
                DONE,
            ),
        ),
        Quirk(
            "tools-new-id-in-each-piece",
            "another id in each fragment of one tool call",
            (
                call({"index": 0, "id": "a", "type": "function"}, name="weather", arguments=WEATHER[:6]),
                call({"index": 0, "id": "b", "type": "function"}, name="weather", arguments=WEATHER[6:9]),
                call({"index": 0, "id": "c", "type": "function"}, name=None, arguments=WEATHER[9:]),
                CALLED,
                DONE,
            ),
        ),
        Quirk(
            "tools-object-arguments",
            "the arguments of a tool call as an object instead of a string",
            (
                call({"index": 0, "id": "a", "type": "function"}, name="weather", arguments={"city": "Oslo"}),
                CALLED,
                DONE,
            ),
        ),
        Quirk(
            "function-call",
            "OpenAI's older `function_call` instead of `tool_calls`",
            (
                said({"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": ""}}),
                said({"function_call": {"name": "weather", "arguments": WEATHER[:6]}}),
                said({"function_call": {"arguments": WEATHER[6:]}}),
                said({}, "function_call"),
                DONE,
            ),
        ),
        Quirk(
            "message-beside-delta",
            "the whole text so far as `message` beside each `delta` (Perplexity)",
            (
                chunk(choice(role("Hello"), message=role("Hello"))),
                chunk(choice(role(" world"), message=role("Hello world"))),
                chunk(choice(role(""), "stop", message=role("Hello world"))),
                DONE,
            ),
        ),
        Quirk(
            "message-instead-of-delta",
            "one whole `message` instead of deltas",
            (chunk({"index": 0, "message": role("Hello world"), "finish_reason": "stop"}), DONE),
        ),
        Quirk(
            "growing-message",
            "the whole text so far as `message` in each chunk, and no `delta`",
            (
                chunk({"index": 0, "message": role("Hello"), "finish_reason": None}),
                chunk({"index": 0, "message": role("Hello world"), "finish_reason": "stop"}),
                DONE,
            ),
        ),
        Quirk(
            "content-parts",
            "the content as a list of parts, some of them thinking (Mistral)",
            (
                said({"role": "assistant", "content": [thinking("Say ")]}),
                said({"content": [thinking("hello.")]}),
                said({"content": [{"type": "text", "text": "Hello"}]}),
                said({"content": " world"}),
                STOP,
                DONE,
            ),
        ),
        Quirk(
            "reasoning-details",
            "`reasoning_details` whose `type`, `format` and `id` are repeated in each chunk (OpenRouter)",
            (
                said({"role": "assistant", "content": "", "reasoning": "Say ", "reasoning_details": [detail("Say ")]}),
                said({"content": "", "reasoning": "hello.", "reasoning_details": [detail("hello.")]}),
                said({"content": "Hello world"}),
                STOP,
                DONE,
            ),
        ),
        Quirk(
            "repeated-role",
            "the role in each chunk",
            (said(role("Hello")), said(role(" world")), said({"role": "assistant"}, "stop"), DONE),
        ),
        Quirk(
            "no-choices-first",
            "a first chunk with an empty list of choices, id and model (Azure)",
            (
                frame(
                    {
                        "id": "",
                        "object": "",
                        "created": 0,
                        "model": "",
                        "choices": [],
                        "prompt_filter_results": [{"prompt_index": 0}],
                    }
                ),
                *HELLO,
                DONE,
            ),
        ),
        Quirk(
            "no-delta",
            "choices without `delta`, `index` or `finish_reason` (Azure's content filter)",
            (
                *HELLO[:-1],
                chunk({"content_filter_offsets": {"check_offset": 1}, "content_filter_results": {}}),
                chunk({"delta": None, "finish_reason": "stop"}),
                DONE,
            ),
        ),
        Quirk(
            "usage-in-every-chunk",
            "the usage so far in every chunk",
            (
                said(
                    {"role": "assistant", "content": "Hello"},
                    usage={**USAGE, "completion_tokens": 1, "total_tokens": 10},
                ),
                said({"content": " world"}, usage=USAGE),
                said({}, "stop", usage=USAGE),
                DONE,
            ),
        ),
        Quirk(
            "usage-with-choices",
            "the usage in the last chunk that has choices",
            (*HELLO[:-1], said({}, "stop", usage=USAGE), DONE),
        ),
        Quirk(
            "nan",
            "`NaN` or `Infinity`, which JSON does not have, in `logprobs`",
            (
                ROLE,
                said({"content": "Hello"}).replace(
                    b'"finish_reason":null', b'"finish_reason":null,"logprobs":{"content":[%b]}' % LOGPROBS.encode()
                ),
                said({"content": " world"}),
                STOP,
                DONE,
            ),
        ),
        Quirk(
            "empty-data",
            "`data:` with nothing as a sign of life",
            (b"data:\n\n", ROLE, b"data: \n\n", *HELLO[1:], DONE),
        ),
        Quirk(
            "byte-order-mark", "a byte order mark before the first line", (b"\xef\xbb\xbf" + HELLO[0], *HELLO[1:], DONE)
        ),
        Quirk("crlf", "lines that end with CR LF", tuple(one.replace(b"\n", b"\r\n") for one in (*HELLO, DONE))),
        Quirk("lone-cr", "lines that end with CR alone", tuple(one.replace(b"\n", b"\r") for one in (*HELLO, DONE))),
        Quirk(
            "no-space",
            "no space after `data:`",
            tuple(one.replace(b"data: ", b"data:") for one in (*HELLO, DONE)),
        ),
        Quirk("no-final-newline", "no line end after `[DONE]`", (*HELLO, DONE.rstrip(b"\n"))),
    )
}
