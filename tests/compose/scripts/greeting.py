"""The script of the compose stack's tests."""

from manycast.script import Run, script


@script
async def greeting(run: Run) -> object:
    """Asks for a name, and greets."""
    name = await run.input("Your name?")
    await run.generate(f"Greet {name}", name="draft", model="demo-echo")
    return await run.generate(f"Greet {name} again", name="final", model="demo-echo", say=True)
