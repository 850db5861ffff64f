"""`python typed_agent.py GATEWAY`: pydantic-ai with `openai:MODEL`, which calls /v1/responses.

A tool, whole and streamed; a conversation; an object; thoughts.
"""

import asyncio
import os
import sys

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel

os.environ.update(OPENAI_BASE_URL=f"{sys.argv[1]}/v1", OPENAI_API_KEY="any")


class River(BaseModel):
    name: str
    length_km: int


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: sunny"


async def main() -> None:
    guide = Agent("openai:demo-reasoning", instructions="Be kind.", tools=[get_weather])
    assert isinstance(guide.model, OpenAIResponsesModel)
    first = await guide.run("How is the weather?")
    kinds = [part.part_kind for message in first.all_messages() for part in message.parts]
    assert kinds.count("tool-call") == 1
    assert "thinking" in kinds
    second = await guide.run("Thanks", message_history=first.all_messages())
    assert "Thanks" in second.output

    async with guide.run_stream("How is the weather?") as streamed:
        deltas = [delta async for delta in streamed.stream_text(delta=True)]
        assert "".join(deltas) == await streamed.get_output()

    rivers = Agent("openai:demo", output_type=River)
    assert (await rivers.run("Tell me about rivers")).output.name == "rivers"


asyncio.run(main())
