"""The script that the workers of a chaos run offer: steps in a row and at once, a tool, and a question to people."""

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
    draft = await _generate(run, "draft", f"Draft: {run.text}")
    left, right = await run.gather(_generate(run, "left", f"Left of {draft}"), _generate(run, "right", run.text))
    length = await _measure(run.fork(), f"Measure: {left}{right}")
    try:
        mood = await run.input("Which mood?", choices=CHOICES, timeout_s=run.request.get("answer_within_s"))
    except InputTimeoutError:
        mood = NOBODY
    await run.say(f"{mood}\n\n")
    await run.emit(QUESTION, {"mood": mood})
    return await _generate(run, "final", f"{mood}, {length}, {right}", say=True)


async def _measure(run: Run, prompt: str) -> Message[Any]:
    # A fork, so that no later step has the tool.
    @run.tool
    async def measure(text: str) -> int:
        """The length of a text."""
        return len(text)

    return await _generate(run, "measure", prompt)


async def _generate(run: Run, name: str, prompt: str, *, say: bool = False) -> Message[Any]:
    request = run.request
    return await run.generate(
        prompt, name=name, model="demo", say=say, user=user_of(request["user"], name), simulator=request["simulator"]
    )


def user_of(user: str, name: str) -> str:
    """The field `user` of a step's provider calls, by which the provider's bill names them."""
    return f"{user} {name}"
