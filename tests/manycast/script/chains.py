"""Scripts for tests."""

from pydantic import BaseModel

from manycast.script import Run, script


class Verdict(BaseModel):
    """What a critic says."""

    line: str
    score: int = 0


@script
async def haiku(run: Run) -> object:
    """Three steps, and the last one is the answer."""
    run.system("You write haiku.")
    draft = await run.generate(f"A haiku about {run.text}", name="draft")
    await run.generate(f"Find its weakest line: {draft}", name="critique", model="critic")
    return await run.generate("Write it again, better.", name="final", say=True)


@script
async def everything(run: Run) -> str:
    """Makes each kind of call."""

    def add(left: int, right: int = 2) -> int:
        """Adds two numbers."""
        return left + right

    run.system("You are brief.")
    moment, number = await run.now(), await run.random()
    await run.say("First. ")
    async with run.step("research"):
        first, second = await run.gather(_look_up(run, "one"), _look_up(run, "two"))
        await run.emit("found", {"texts": [first, second]})
    inner = await run.call(haiku, "rain")
    helper = run.fork()
    helper.tool(add)
    total = await helper.generate("What is one and two?", name="sum", say=True)
    verdict = await run.generate("Judge.", name="verdict", parse=Verdict)
    return f" {inner} {total} {verdict.parsed.score} {moment.timestamp()} {number}"


async def _look_up(run: Run, word: str) -> str:
    question = await run.generate(f"A question about {word}?", name=f"ask {word}")
    answer = await run.generate(str(question), name=f"answer {word}")
    return answer.text
