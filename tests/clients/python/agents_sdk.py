"""`python agents_sdk.py GATEWAY`: OpenAI's agents SDK with its default kind of model.

A tool, whole and streamed; a hand-over to another agent; a turn that continues the one before by its id.
"""

import asyncio
import sys

from agents import Agent, Runner, function_tool, set_default_openai_client, set_tracing_disabled
from agents.items import HandoffOutputItem, ToolCallItem
from openai import AsyncOpenAI

set_tracing_disabled(True)
sdk = AsyncOpenAI(base_url=f"{sys.argv[1]}/v1", api_key="any", max_retries=0)
set_default_openai_client(sdk, use_for_tracing=False)


@function_tool  # type: ignore[untyped-decorator]
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: sunny"


async def main() -> None:
    guide = Agent(name="guide", instructions="Be kind.", model="demo-reasoning", tools=[get_weather])
    whole = await Runner.run(guide, "How is the weather?")
    assert sum(isinstance(item, ToolCallItem) for item in whole.new_items) == 1
    assert whole.final_output
    assert whole.context_wrapper.usage.total_tokens > 0

    streamed = Runner.run_streamed(guide, "How is the weather?")
    deltas = ""
    async for event in streamed.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            deltas += event.data.delta
    assert streamed.final_output == deltas

    expert = Agent(name="weather expert", model="demo", tools=[get_weather])
    desk = Agent(name="desk", model="demo", handoffs=[expert])
    handed = await Runner.run(desk, "transfer_to_weather_expert, please")
    assert any(isinstance(item, HandoffOutputItem) for item in handed.new_items)
    assert handed.last_agent.name == "weather expert"

    continued = await Runner.run(guide, "Thanks", previous_response_id=whole.last_response_id)
    assert "Thanks" in continued.final_output


asyncio.run(main())
