"""Libraries that call /v1/responses by default, or when asked to: through the whole stack to the simulator."""

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.clients.conftest import PYTHON_HOME, InstallPins, Stack, run_program
from tests.packages import install_node_packages

NODE_PROGRAMS = Path(__file__).parent / "responses"


class River(BaseModel):
    """A river."""

    name: str


@pytest.fixture(scope="session")
def node() -> str:
    return install_node_packages(NODE_PROGRAMS)


@pytest.mark.parametrize("program", ["openai.mjs", "agents.mjs", "ai_sdk.mjs"])
async def test_clients_in_javascript(node: str, stack: Stack, program: str) -> None:
    await run_program(node, program, stack.gateway, stack.hasty, cwd=NODE_PROGRAMS)


@pytest.mark.parametrize(
    ("pins", "program"), [("agents", "agents_sdk.py"), ("litellm", "lite.py"), ("pydantic_ai", "typed_agent.py")]
)
async def test_libraries_in_python(stack: Stack, install_pins: InstallPins, pins: str, program: str) -> None:
    packages = install_pins(pins)
    await run_program("env", f"PYTHONPATH={packages}", sys.executable, str(PYTHON_HOME / program), stack.gateway)


def langchain(stack: Stack, model: str, **options: Any) -> Any:
    library = pytest.importorskip("langchain_openai", reason="langchain-openai is not installed")
    url = f"{stack.gateway}/v1"
    return library.ChatOpenAI(
        model=model, base_url=url, api_key="any", max_retries=0, use_responses_api=True, **options
    )


def test_langchain_answers_whole_and_streamed(stack: Stack) -> None:
    llm = langchain(stack, "demo-reasoning")
    whole = llm.invoke("Tell me about rivers")
    assert whole.response_metadata["id"].startswith("resp_")
    assert whole.usage_metadata["total_tokens"] > 0
    pieces = [chunk.text for chunk in llm.stream("Tell me about rivers")]
    assert len(pieces) > 20
    assert "rivers" in "".join(pieces)


def test_langchain_calls_tools_and_reads_objects(stack: Stack) -> None:
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"{city}: sunny"

    llm = langchain(stack, "demo-reasoning").bind_tools([get_weather])
    question = ("user", "How is the weather?")
    asked = llm.invoke([question])
    (call,) = asked.tool_calls
    result = {"role": "tool", "tool_call_id": call["id"], "content": get_weather(**call["args"])}
    assert llm.invoke([question, asked, result]).text
    streamed = None
    for chunk in llm.stream([question]):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed is not None
    assert [made["args"] for made in streamed.tool_calls] == [call["args"]]
    river = langchain(stack, "demo").with_structured_output(River).invoke("Tell me about rivers")
    assert river == River(name="rivers")


def test_langchain_continues_the_response_before(stack: Stack) -> None:
    llm = langchain(stack, "demo", use_previous_response_id=True)
    first = llm.invoke([("user", "Tell me about rivers")])
    second = llm.invoke([("user", "Tell me about rivers"), first, ("user", "Thanks")])
    assert "Thanks" in second.text
