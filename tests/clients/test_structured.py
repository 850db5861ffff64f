"""Answers as objects, and agents: the libraries that people use for them, through the whole stack to the simulator."""

import json
import re
import sys
from enum import Enum
from typing import Any

import openai
import pytest
from pydantic import BaseModel, Field

from tests.clients.conftest import PYTHON_HOME, InstallPins, Stack, run_program
from tests.clients.snippets import PAPER
from tests.stack import ROOT


class Kind(Enum):
    LAKE = "lake"
    RIVER = "river"


class Place(BaseModel):
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)


class Water(BaseModel):
    """A lake or a river."""

    name: str
    kind: Kind
    depth_m: int = Field(gt=0)
    places: list[Place] = Field(min_length=2)


class River(Water):
    """A river, with all that it flows into."""

    flows_into: "River | None"


TESTED = {
    "openai": "`parse` and `stream` with a Pydantic model, strict tools, the loop of an agent",
    "langchain-openai": "`with_structured_output`: `json_schema`, `function_calling`, `json_mode`",
    "instructor": "`create`, `create_partial`, `create_iterable`; its modes `TOOLS` and `JSON`",
    "dspy": '`Predict` and `ChainOfThought` with types and Pydantic models, also with `model_type="responses"`',
}


def markdown() -> str:
    """The rows of the table in docs/use-it-with.md."""
    files = (ROOT / "tests" / "requirements.txt", PYTHON_HOME / "instructor.txt", PYTHON_HOME / "dspy.txt")
    pins = "".join(file.read_text() for file in files)
    versions = dict(re.findall(r"^([\w-]+)==(\S+)", pins, re.MULTILINE))
    return "\n".join(f"| {name} | {versions[name]} | {tested} |" for name, tested in TESTED.items())


def test_the_docs_name_the_versions_that_are_tested() -> None:
    assert markdown() in PAPER


ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Tell me about rivers"}]}


@pytest.mark.parametrize("model", ["demo", "demo-reasoning"])
async def test_openais_parse_returns_the_object(ours: openai.AsyncOpenAI, model: str) -> None:
    answer = await ours.chat.completions.parse(model=model, response_format=River, **ASK)
    river = answer.choices[0].message.parsed
    assert river is not None
    assert river.name == "rivers"
    assert river.flows_into is not None


async def test_openais_stream_builds_the_object(ours: openai.AsyncOpenAI) -> None:
    parsed = 0
    async with ours.chat.completions.stream(model="demo", response_format=River, **ASK) as stream:
        async for event in stream:
            parsed += event.type == "content.delta" and event.parsed is not None
        answer = await stream.get_final_completion()
    assert parsed > 20
    assert isinstance(answer.choices[0].message.parsed, River)


async def test_openais_parse_reads_the_arguments_of_a_strict_tool(ours: openai.AsyncOpenAI) -> None:
    tool = openai.pydantic_function_tool(Water)
    choice: Any = {"type": "function", "function": {"name": "Water"}}
    answer = await ours.chat.completions.parse(model="demo", tools=[tool], tool_choice=choice, **ASK)
    (call,) = answer.choices[0].message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, Water)


async def test_the_loop_of_an_agent_ends_with_an_answer(ours: openai.AsyncOpenAI) -> None:
    function: Any = {"name": "get_weather", "parameters": Place.model_json_schema()}
    turns: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    calls = 0
    while True:
        answer = await ours.chat.completions.create(
            model="demo", messages=turns, tools=[{"type": "function", "function": function}]
        )
        said = answer.choices[0].message
        turns.append(said)
        if not said.tool_calls:
            break
        for call in said.tool_calls:
            assert call.type == "function"
            Place.model_validate_json(call.function.arguments)
            turns.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps({"degrees": 21})})
            calls += 1
    assert calls == 1
    assert said.content


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_langchains_structured_output_is_the_object(stack: Stack, method: str) -> None:
    langchain_openai = pytest.importorskip("langchain_openai", reason="langchain-openai is not installed")
    llm = langchain_openai.ChatOpenAI(model="demo", base_url=f"{stack.gateway}/v1", api_key="any", max_retries=0)
    schema = json.dumps(Water.model_json_schema())
    water = llm.with_structured_output(Water, method=method).invoke(f"A river, as JSON of this schema: {schema}")
    assert isinstance(water, Water)


async def test_instructor_reads_objects_in_every_way_it_has(stack: Stack, install_pins: InstallPins) -> None:
    program = str(PYTHON_HOME / "extract.py")
    output = await run_program(
        "env", f"PYTHONPATH={install_pins('instructor')}", sys.executable, program, stack.gateway
    )
    people = json.loads(output)
    assert [person["name"] for person in people] == ["looks", "looks", "looks", "looks", "looks", "rivers"]
    assert all(person["friends"] for person in people)


async def test_dspys_predictions_are_objects(stack: Stack, install_pins: InstallPins) -> None:
    program = str(PYTHON_HOME / "predict.py")
    output = await run_program("env", f"PYTHONPATH={install_pins('dspy')}", sys.executable, program, stack.gateway)
    rivers = json.loads(output.splitlines()[-1])
    assert [river["name"] for river in rivers] == ["rivers"] * 4
