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


def test_the_list_of_commands_shows_what_each_does_as_a_whole() -> None:
    told = run("--help")
    assert "..." not in told.stdout.partition("Commands:")[2]
    assert "Print what a number of viewers needs." in told.stdout


def test_what_was_given_to_reload_is_named_if_it_is_no_folder() -> None:
    for given, words in (("no-such-folder", "; no-such-folder is not a folder"), ("", "")):
        told = run("up", "--reload", MANYCAST_SCRIPTS=given)
        assert told.returncode == 1
        assert told.stderr == f"manycast: --reload needs a folder with scripts: MANYCAST_SCRIPTS=FOLDER{words}\n"


def test_it_tells_its_version() -> None:
    number = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    told = run("--version")
    assert (told.returncode, told.stdout) == (0, f"manycast {number}\n"), told.stderr
