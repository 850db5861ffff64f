"""`python extract.py GATEWAY`: instructor's objects, printed as JSON.

In its usual mode (tools): one whole, one streamed, and a list. In its JSON mode and with the Responses API: one each.
"""

import json
import sys

import instructor
import openai
from pydantic import BaseModel, Field


class Person(BaseModel):
    name: str
    age: int = Field(ge=18, le=120)
    friends: list["Person"]


sdk = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="any")
client = instructor.from_openai(sdk)
asked = {
    "model": "demo-fast",
    "max_retries": 0,
    "messages": [{"role": "user", "content": "Who looks after the rivers?"}],
}
whole = client.chat.completions.create(response_model=Person, **asked)
*_, streamed = client.chat.completions.create_partial(response_model=Person, **asked)
people = list(client.chat.completions.create_iterable(response_model=Person, **asked))
from_json = instructor.from_openai(sdk, mode=instructor.Mode.JSON)
written = from_json.chat.completions.create(response_model=Person, **asked)
from_responses = instructor.from_openai(sdk, mode=instructor.Mode.RESPONSES_TOOLS)
responded = from_responses.responses.create(
    model="demo-fast", input="Who looks after the rivers?", response_model=Person, max_retries=0
)
print(json.dumps([person.model_dump() for person in (whole, streamed, written, responded, *people)]))
