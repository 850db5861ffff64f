"""`python lite.py GATEWAY`: LiteLLM's `responses()`, and its `completion()` at /v1/responses.

Whole and streamed; a tool, whose result continues the response before by its id; an answer that breaks, and one that is
cancelled; a chat, also over the Responses API. It validates what it reads.
"""

import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the internet for prices

import litellm

# LiteLLM knows models by their names. It asks one that it does not know for the whole, and makes events of that.
able = {"litellm_provider": "openai", "mode": "responses", "supports_native_streaming": True}
litellm.register_model(dict.fromkeys(("demo-reasoning", "demo-long", "fault-drop"), able))

asked = {"model": "openai/demo-reasoning", "api_base": f"{sys.argv[1]}/v1", "api_key": "any", "max_retries": 0}
ask = {"input": "Tell me about rivers", **asked}
parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
weather = {"type": "function", "name": "get_weather", "parameters": parameters}


def text_of(response: litellm.ResponsesAPIResponse) -> str:
    return "".join(part.text for item in response.output if item.type == "message" for part in item.content)


whole = litellm.responses(**ask)
assert whole.status == "completed"
assert "rivers" in text_of(whole)
assert whole.usage.total_tokens > 0

events = list(litellm.responses(stream=True, **ask))
deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
assert events[-1].type == "response.completed"
assert deltas == text_of(events[-1].response)

first = litellm.responses(input="How is the weather?", tools=[weather], **asked)
(call,) = (item for item in first.output if item.type == "function_call")
result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
second = litellm.responses(input=[result], tools=[weather], previous_response_id=first.id, **asked)
assert text_of(second)

found = litellm.get_responses(first.id, custom_llm_provider="openai", api_base=asked["api_base"], api_key="any")
assert found.status == "completed"
litellm.delete_responses(first.id, custom_llm_provider="openai", api_base=asked["api_base"], api_key="any")

# It raises what `response.failed` says.
try:
    list(litellm.responses(stream=True, **{**ask, "model": "openai/fault-drop"}))
    raise AssertionError("the answer broke, and nothing was raised")
except litellm.exceptions.MidStreamFallbackError as error:
    assert "The connection to the provider was lost." in str(error)

slow = {**ask, "model": "openai/demo-long", "extra_body": {"simulator": {"chunks": 2000, "chunks_per_s": 20}}}
response_id = ""
try:
    for event in litellm.responses(stream=True, **slow):
        if event.type == "response.created":
            response_id = event.response.id
        elif event.type == "response.output_text.delta" and response_id:
            litellm.cancel_responses(
                response_id, custom_llm_provider="openai", api_base=asked["api_base"], api_key="any"
            )
            response_id = ""
    raise AssertionError("the response was cancelled, and nothing was raised")
except litellm.exceptions.MidStreamFallbackError as error:
    assert "The run was cancelled." in str(error)

messages = [{"role": "user", "content": "Tell me about rivers"}]
for model in ("openai/demo", "openai/responses/demo"):
    chat = litellm.completion(**{**asked, "model": model}, messages=messages)
    assert "rivers" in chat.choices[0].message.content
    chunks = list(litellm.completion(**{**asked, "model": model}, messages=messages, stream=True))
    assert "rivers" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
