"""Answers in JSON and calls of tools, as the request wants them, through OpenAI's own client."""

import json
from typing import Any

import httpx2
import jsonschema_rs
import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.simulator.process import body, counts_of
from tests.simulator.test_models import functions_of, join, stream

WRITES_JSON = ["demo", "demo-fast", "demo-long", "demo-reasoning", "demo-choices"]
POINT = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x", "y"]}
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "kind": {"enum": ["line", "area"]},
        "points": {"type": "array", "items": {"$ref": "#/$defs/point"}, "minItems": 3},
        "note": {"type": ["string", "null"]},
    },
    "required": ["title", "kind", "points", "note"],
    "additionalProperties": False,
    "$defs": {"point": {**POINT, "additionalProperties": False}},
}
AS_SCHEMA = {"type": "json_schema", "json_schema": {"name": "figure", "strict": True, "schema": SCHEMA}}
AS_OBJECT = {"type": "json_object"}
WORD = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}


def tool(name: str, parameters: Any = WORD, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **fields}}


TOOLS = [tool("get_weather", SCHEMA, strict=True), tool("searchTheWeb"), tool("add"), tool("final_answer")]


async def ask(sdk: openai.AsyncOpenAI, prompt: str, *after: Any, model: str = "demo", **fields: Any) -> ChatCompletion:
    turns: Any = [{"role": "user", "content": prompt}, *after]
    answer: ChatCompletion = await sdk.chat.completions.create(model=model, messages=turns, **fields)
    return answer


def names_of(answer: ChatCompletion) -> list[str]:
    return [name for name, _ in functions_of(answer.choices[0].message)]


def result_of(name: str) -> list[dict[str, Any]]:
    """The turns of one call and its result."""
    call = {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": name, "content": "done"},
    ]


@pytest.mark.parametrize("model", WRITES_JSON)
async def test_an_answer_fits_the_schema_of_the_request_and_comes_in_pieces(
    sdk: openai.AsyncOpenAI, model: str
) -> None:
    chunks = await stream(sdk, model, response_format=AS_SCHEMA, n=2)
    assert len(chunks) > 20
    for choice in join(chunks).choices:
        assert choice.finish_reason == "stop"
        jsonschema_rs.validate(SCHEMA, json.loads(choice.message.content or ""))


@pytest.mark.parametrize("model", WRITES_JSON)
async def test_an_answer_as_a_json_object_is_one(sdk: openai.AsyncOpenAI, model: str) -> None:
    answer = await ask(sdk, "Tell me about rivers, as JSON", model=model, response_format=AS_OBJECT)
    said = json.loads(answer.choices[0].message.content or "")
    assert said == {"title": "rivers", "points": ["rivers", "json"]}


@pytest.mark.parametrize(
    "described",
    [
        f"Answer with JSON that fits this schema: {json.dumps(SCHEMA)}",
        'Answer with JSON like this:\n{"title": "{title}", "kind": "line", "points": [{"x": 1.5, "y": 2}], "note": ""}',
    ],
    ids=["schema", "example"],
)
async def test_a_json_object_has_the_fields_that_the_messages_describe(sdk: openai.AsyncOpenAI, described: str) -> None:
    turns: Any = [{"role": "system", "content": described}, {"role": "user", "content": "Draw {x} a river."}]
    answer = await sdk.chat.completions.create(model="demo", messages=turns, response_format={"type": "json_object"})
    said = json.loads(answer.choices[0].message.content or "")
    assert list(said) == ["title", "kind", "points", "note"]
    assert all(isinstance(point["x"], float) for point in said["points"])


async def test_max_tokens_cuts_json_too(sdk: openai.AsyncOpenAI) -> None:
    answer = await ask(sdk, "Draw a river", response_format=AS_SCHEMA, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"


NO_ANSWER = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#/no"}}}}
NO_CALL = {"tools": [tool("weather", {"$ref": "#/no"})], "tool_choice": "required"}


@pytest.mark.parametrize(
    ("model", "fields", "param", "code"),
    [
        *(
            (model, NO_ANSWER, "response_format", "invalid_json_schema")
            for model in ("demo", "demo-long", "demo-reasoning", "demo-choices")
        ),
        *(
            (model, NO_CALL, "tools", "invalid_function_parameters")
            for model in ("demo", "demo-tools", "demo-reasoning")
        ),
    ],
)
async def test_a_schema_that_nothing_fits_is_refused_before_the_stream_and_counted(
    http: httpx2.AsyncClient, model: str, fields: dict[str, Any], param: str, code: str
) -> None:
    before = await counts_of(http, model)
    refused = await http.post("/v1/chat/completions", json=body(model, stream=True, **fields))
    assert refused.status_code == 400
    assert (refused.json()["error"]["param"], refused.json()["error"]["code"]) == (param, code)
    after = await counts_of(http, model)
    assert after["refused"] == before.get("refused", 0) + 1
    assert after["open"] == 0


@pytest.mark.parametrize("model", ["demo", "demo-fast", "demo-reasoning", "demo-tools"])
async def test_the_function_that_the_request_names_is_called_with_arguments_that_fit(
    sdk: openai.AsyncOpenAI, model: str
) -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}
    chunks = await stream(sdk, model, tools=TOOLS, tool_choice=choice)
    answer = join(chunks)
    ((name, arguments),) = functions_of(answer.choices[0].message)
    assert name == "get_weather"
    jsonschema_rs.validate(SCHEMA, arguments)
    assert answer.choices[0].finish_reason == "stop", "as OpenAI's, for a named function"
    assert answer.choices[0].message.role == "assistant"


@pytest.mark.parametrize(
    ("prompt", "called"),
    [
        ("How is the weather in Oslo?", ["get_weather"]),
        ("Please use get_weather", ["get_weather"]),
        ("Search for rivers", ["searchTheWeb"]),
        ("ADD two and two", ["add"]),
        ("I am in addition whether or not", []),
        ("Weather in Oslo, and search for rivers", ["get_weather", "searchTheWeb"]),
        ("Why is the sky blue?", []),
    ],
)
async def test_by_itself_it_calls_the_tools_that_the_question_speaks_of(
    sdk: openai.AsyncOpenAI, prompt: str, called: list[str]
) -> None:
    answer = await ask(sdk, prompt, tools=TOOLS, tool_choice="auto")
    assert names_of(answer) == called
    assert answer.choices[0].finish_reason == ("tool_calls" if called else "stop")
    assert names_of(await ask(sdk, prompt, tools=TOOLS, tool_choice="none")) == []
    assert names_of(await ask(sdk, prompt, tools=TOOLS, parallel_tool_calls=False)) == called[:1]


async def test_after_the_results_it_answers_so_that_a_loop_ends(sdk: openai.AsyncOpenAI) -> None:
    prompt = "Weather in Oslo, and search for rivers"
    first, second = result_of("get_weather"), result_of("searchTheWeb")
    answer = await ask(sdk, prompt, *first, *second, tools=TOOLS)
    assert "- `done`\n" in (answer.choices[0].message.content or "")
    assert names_of(await ask(sdk, prompt, *first, tools=TOOLS, parallel_tool_calls=False)) == ["searchTheWeb"]
    again = {"role": "user", "content": "And the weather in Rome?"}
    assert names_of(await ask(sdk, prompt, *first, *second, again, tools=TOOLS)) == ["get_weather"]


async def test_required_calls_the_tools_in_turn_and_then_the_last_one(sdk: openai.AsyncOpenAI) -> None:
    must: Any = {"tools": TOOLS, "tool_choice": "required"}
    so_far: list[Any] = []
    called = []
    for _ in range(6):
        (name,) = names_of(await ask(sdk, "How is the weather?", *so_far, **must))
        called.append(name)
        so_far += result_of(name)
    assert called == ["get_weather", "searchTheWeb", "add", "final_answer", "final_answer", "final_answer"]


async def test_only_the_allowed_tools_are_called(sdk: openai.AsyncOpenAI) -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "add"}}]}
    choice: Any = {"type": "allowed_tools", "allowed_tools": allowed}
    assert names_of(await ask(sdk, "How is the weather?", tools=TOOLS, tool_choice=choice)) == ["add"]


async def test_demo_tools_calls_one_tool_or_none_if_the_request_says_so(sdk: openai.AsyncOpenAI) -> None:
    one = await ask(sdk, "Hi", model="demo-tools", tools=TOOLS, parallel_tool_calls=False)
    assert names_of(one) == ["get_weather"]
    none = await ask(sdk, "Hi", model="demo-tools", tools=TOOLS, tool_choice="none")
    assert names_of(none) == []
    assert none.choices[0].message.content


async def test_the_answer_after_a_tool_is_json_if_the_request_wants_that(sdk: openai.AsyncOpenAI) -> None:
    asked: Any = {"tools": TOOLS, "response_format": AS_SCHEMA}
    assert names_of(await ask(sdk, "The weather?", **asked)) == ["get_weather"]
    answer = await ask(sdk, "The weather?", *result_of("get_weather"), **asked)
    jsonschema_rs.validate(SCHEMA, json.loads(answer.choices[0].message.content or ""))
