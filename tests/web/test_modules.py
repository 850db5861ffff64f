"""The page's JavaScript: its types hold, and its pure modules do what they say. Node runs both."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from contract.event import Chunk
from simulator.quirks import QUIRKS
from tests.packages import install_node_packages
from tests.quirks import EXPECTED, Message, chunks_of_quirk
from tests.stack import ROOT

TOOLS = Path(__file__).parent / "tools"
DEADLINE_S = 120


@pytest.fixture(scope="module")
def node() -> str:
    return install_node_packages(TOOLS)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=TOOLS, check=False, capture_output=True, text=True, timeout=DEADLINE_S)


def test_the_types_of_every_module_hold(node: str) -> None:
    done = run(node, "node_modules/typescript/bin/tsc", "--project", ".")
    assert done.returncode == 0, done.stdout


def lint(node: str, *files: str) -> subprocess.CompletedProcess[str]:
    """Runs ESLint on files within the project, or on our scripts if none is given."""
    eslint = TOOLS / "node_modules/eslint/bin/eslint.js"
    command = [node, str(eslint), "--config", str(TOOLS / "eslint.config.js"), *(files or ("web", "tests"))]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=DEADLINE_S)


def test_every_script_passes_the_linter(node: str) -> None:
    done = lint(node)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linter_reads_the_scripts_of_the_page(node: str) -> None:
    done = lint(node, "web/parts/words.js", "--rule", '{"max-lines": ["error", 1]}')
    assert "max-lines" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("code", "is_found"),
    [
        ('make("p", {}, "Close");', True),
        ('make("p", { title: "the last one" });', True),
        ("announce(`Loads ${name}`);", True),
        ('make("p", { class: "small primary" }, say("dialog.close"));', False),
        ('find("main > p");', False),
        ('document.title = "Manycast";', False),
    ],
)
def test_the_linter_finds_a_sentence_outside_of_the_words(node: str, code: str, is_found: bool) -> None:
    eslint = TOOLS / "node_modules/eslint/bin/eslint.js"
    command = [node, str(eslint), "--config", str(TOOLS / "eslint.config.js"), "--stdin", "--stdin-filename"]
    done = subprocess.run(
        [*command, "web/parts/new.js"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        input=f"/* global make, announce, say, find, name */\n{code}\n",
        timeout=DEADLINE_S,
    )
    assert ("house/sentences" in done.stdout) is is_found, done.stdout + done.stderr


def test_the_pure_modules_pass_their_tests(node: str) -> None:
    done = run(node, "--test", *sorted(file.name for file in TOOLS.glob("*.test.js")))
    assert done.returncode == 0, done.stdout + done.stderr


async def chunks_of_all_quirks() -> dict[str, list[Chunk]]:
    return {name: await chunks_of_quirk(quirk) for name, quirk in QUIRKS.items()}


def test_the_page_shows_the_answers_of_providers_that_differ_from_openai(node: str) -> None:
    given = json.dumps(asyncio.run(chunks_of_all_quirks()))
    done = subprocess.run(
        [node, "fold.js"], cwd=TOOLS, check=True, capture_output=True, text=True, input=given, timeout=DEADLINE_S
    )
    for name, answer in json.loads(done.stdout).items():
        made = [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in answer["tool_calls"]]
        shown = Message(answer["content"], answer["finish_reason"], answer["reasoning"], made, answer["usage"])
        assert shown == EXPECTED[name], name


def test_a_wrong_type_is_found(node: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.js").write_text("/** @type {number} */ export const text = 'text';\n")
    done = run(
        node, "node_modules/typescript/bin/tsc", "--allowJs", "--checkJs", "--noEmit", str(tmp_path / "wrong.js")
    )
    assert done.returncode != 0
