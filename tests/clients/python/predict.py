"""`python predict.py GATEWAY`: DSPy's typed predictions over chat completions and the Responses API, as JSON."""

import json
import sys
from typing import Literal

import dspy
from pydantic import BaseModel, Field


class River(BaseModel):
    name: str
    length_km: int = Field(gt=0)
    flows_into: "River | None"


fields = {
    "question": (str, dspy.InputField()),
    "reply": (str, dspy.OutputField()),
    "river": (River, dspy.OutputField()),
    "count": (int, dspy.OutputField()),
    "is_long": (bool, dspy.OutputField()),
    "kind": (Literal["stream", "river"], dspy.OutputField()),
}
describe = dspy.Signature(fields, "Describe what is asked for.")
found = []
for kind in ("chat", "responses"):
    lm = dspy.LM(
        "openai/demo-fast", model_type=kind, api_base=f"{sys.argv[1]}/v1", api_key="any", cache=False, num_retries=0
    )
    with dspy.context(lm=lm):
        for predict in (dspy.Predict(describe), dspy.ChainOfThought(describe)):
            prediction = predict(question="Tell me about rivers")
            assert prediction.reply
            assert isinstance(prediction.count, int)
            assert isinstance(prediction.is_long, bool)
            assert prediction.kind in ("stream", "river")
            found.append(prediction.river)
print(json.dumps([river.model_dump() for river in found]))
