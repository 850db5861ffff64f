"""The script that the workers of a chaos run offer: steps in a row and at once, a tool, and a question to people."""

import secrets
from typing import Any

from manycast.script import InputTimeoutError, Message, Run, script

MODEL = "script/chain"
QUESTION = "mood"
STAGES = (("draft",), ("left", "right"), ("measure",), (QUESTION,), ("final",))
"""The names of its generations, and its question. Those of one stage come after all those of the stage before."""
CALLS = {"measure": 2}
"""How many generations have a name, if not one: here the call of the tool, and what the model says of its result."""
QUESTION_ID = "6"
CHOICES = ("calm", "wild")
NOBODY = "nobody"
"""What the answer contains in place of a choice if nobody has answered in time."""


@script
async def chain(run: Run) -> Message[Any]:
    """The last step is the answer; each one needs those before it."""
    # Not from the run: it is another one for each attempt, so that the bill says which attempt has paid.
    attempt = secrets.token_hex(4)
    draft = await _generate(run, attempt, "draft", f"Draft: {run.text}")
    left, right = await run.gather(
        _generate(run, attempt, "left", f"Left of {draft}"), _generate(run, attempt, "right", run.text)
    )
    length = await _measure(run.fork(), attempt, f"Measure: {left}{right}")
    try:
        mood = await run.input("Which mood?", choices=CHOICES, timeout_s=run.request.get("answer_within_s"))
    except InputTimeoutError:
        mood = NOBODY
    await run.say(f"{mood}\n\n")
    await run.emit(QUESTION, {"mood": mood})
    return await _generate(run, attempt, "final", f"{mood}, {length}, {right}", say=True)


async def _measure(run: Run, attempt: str, prompt: str) -> Message[Any]:
    # A fork, so that no later step has the tool.
    @run.tool
    async def measure(text: str) -> int:
        """The length of a text."""
        return len(text)

    return await _generate(run, attempt, "measure", prompt)


async def _generate(run: Run, attempt: str, name: str, prompt: str, *, say: bool = False) -> Message[Any]:
    request = run.request
    # The provider's bill names its calls by this field.
    user = f"{step_of(request['user'], name)} {attempt}"
    return await run.generate(prompt, name=name, model="demo", say=say, user=user, simulator=request["simulator"])


def step_of(user: str, name: str) -> str:
    """A step of the run of this user. In the bill, the attempt that has paid for it follows."""
    return f"{user} {name}"
