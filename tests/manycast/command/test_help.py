"""What the command says about itself."""

import re
import tomllib
from collections.abc import Iterator

import pytest
import typer

from manycast.__main__ import app
from tests.house.tree import ROOT
from tests.manycast.command_line import run


def sentences() -> Iterator[tuple[str, str]]:
    """What each command and each of its options and arguments says, without the defaults behind it."""
    waiting = [("manycast", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        yield name, command.help or ""
        for parameter in command.params:
            text = str(getattr(parameter, "help", None) or "")
            if not getattr(parameter, "hidden", False):
                yield f"{name} {parameter.name}", re.sub(r" \[default: .*\]$", "", text)
        waiting += [(f"{name} {verb}", each) for verb, each in getattr(command, "commands", {}).items()]


@pytest.mark.parametrize(("place", "text"), list(sentences()))
def test_every_help_is_a_sentence_with_a_full_stop(place: str, text: str) -> None:
    assert re.fullmatch(r"[A-Z]\w* .*\.", text.strip(), re.DOTALL), f"{place}: {text!r}"


def test_it_tells_its_version() -> None:
    number = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    told = run("--version")
    assert (told.returncode, told.stdout) == (0, f"manycast {number}\n"), told.stderr
