"""The way of docs/scripts.md: a file in a folder, `manycast up`, and clients that know nothing of scripts."""

import json
import urllib.request
from collections.abc import Iterator

import pytest
from openai import OpenAI

from manycast.chaos.examples import read_examples
from tests.manycast.command_line import LocalStack, console, run, up, wait_until

GUEST = """
from manycast.script import script

print("guests are welcome")

@script
async def guest(run):
    name = run.text or await run.input("Your name?")
    count = await run.input("How many?", schema=int)
    drink = await run.input("What to drink?", choices=["tea", "coffee"])
    return f"{count} {drink} for {name}"
"""
QUESTION = {"model": "script/haiku", "messages": [{"role": "user", "content": "autumn"}]}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("first")
    (folder / "scripts").mkdir()
    (folder / "scripts" / "haiku.py").write_text(read_examples()["haiku"])
    (folder / "scripts" / "guest.py").write_text(GUEST)
    with up(folder / "data", "--reload", cwd=folder, MANYCAST_SCRIPTS="scripts", SIMULATOR_CHUNKS_PER_S="500") as stack:
        yield stack


def test_the_start_names_the_scripts(stack: LocalStack) -> None:
    assert "scripts: guest, haiku (run one with `" in stack.notes


def test_what_a_script_prints_when_it_is_loaded_is_shown(stack: LocalStack) -> None:
    assert "worker | guests are welcome" in stack.notes


def test_the_command_asks_a_script(stack: LocalStack) -> None:
    asked = run("ask", "autumn", "--model", "script/haiku", "--server", stack.url)
    assert asked.returncode == 0, asked.stderr
    assert len(asked.stdout) > 50


def test_the_command_runs_a_script_and_answers_from_its_input(stack: LocalStack) -> None:
    ran = run("run", "guest", "--server", stack.url, feed="Ada\nthree\n3\n2\n")
    assert (ran.returncode, ran.stdout) == (0, "3 coffee for Ada\n"), ran.stderr
    assert "'value' must be of the type integer." in ran.stderr


def test_a_person_at_a_terminal_is_asked(stack: LocalStack) -> None:
    with console("run", "guest", "Ada", "--server", stack.url) as terminal:
        terminal.wait_for("How many?")
        terminal.wait_for("> ")
        terminal.type(b"2\r")
        terminal.wait_for("1  tea")
        terminal.type(b"1\r")
        terminal.wait_for("2 tea for Ada")
        assert terminal.wait() == 0


def test_without_an_input_the_command_says_where_to_answer(stack: LocalStack) -> None:
    with console("run", "guest", "--server", stack.url) as terminal:
        terminal.wait_for("Your name?")
        terminal.type(b"\x04")
        terminal.wait_for("the script waits for an answer; give it at http")
        terminal.type(b"\x03")
        terminal.wait_for("[l]eave it running?")
        terminal.type(b"s\r")
        terminal.wait()


def test_an_openai_sdk_lists_and_runs_it(stack: LocalStack) -> None:
    client = OpenAI(base_url=f"{stack.url}/v1", api_key="any")
    assert "script/haiku" in [model.id for model in client.models.list()]
    pieces = [
        chunk.choices[0].delta.content or ""
        for chunk in client.chat.completions.create(stream=True, **QUESTION)  # type: ignore[call-overload]
    ]
    whole = client.chat.completions.create(**QUESTION)  # type: ignore[call-overload]
    assert len(pieces) > 10
    assert "".join(pieces) == whole.choices[0].message.content
    assert whole.usage.total_tokens > 0


def test_other_dialects_have_the_answer_alone(stack: LocalStack) -> None:
    started = json.loads(post(f"{stack.url}/v1/streams"))
    events = f"{stack.url}{started['urls']['events']}"
    native = read(events)
    answer = json.loads(read(f"{stack.url}{started['urls']['completion']}"))["choices"][0]["message"]["content"]
    assert native.count("event: step") > 6
    assert read(f"{events}?dialect=text") == f"{answer}\n"
    deltas = [json.loads(line[6:]) for line in read(f"{events}?dialect=ui").splitlines() if line.startswith("data: {")]
    assert "".join(part["delta"] for part in deltas if part["type"] == "text-delta") == answer


def test_the_responses_api_runs_it(stack: LocalStack) -> None:
    client = OpenAI(base_url=f"{stack.url}/v1", api_key="any")
    response = client.responses.create(model="script/haiku", input="autumn")
    assert len(response.output_text) > 50


def test_a_changed_script_is_loaded_and_a_broken_one_is_told(stack: LocalStack) -> None:
    file = stack.data.parent / "scripts" / "haiku.py"
    old = stack.parts["worker"]
    file.write_text("def broken(:\n")
    wait_until(lambda: "haiku.py, line 1: SyntaxError" in stack.notes, stack.notes)
    assert stack.parts["worker"] == old
    assert "the old ones keep running" in stack.notes
    file.write_text(GUEST.replace("async def guest", "async def host"))
    wait_until(lambda: "script/host" in read(f"{stack.url}/v1/models"), stack.notes)
    assert run("run", "host", "Eve", "--server", stack.url, feed="1\ntea\n").stdout == "1 tea for Eve\n"


def post(url: str) -> bytes:
    request = urllib.request.Request(url, json.dumps(QUESTION).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        body: bytes = answer.read()
        return body.decode()
