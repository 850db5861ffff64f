"""Where scripts come from, and what their author reads when they cannot be used."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import ROOT
from tests.worker.test_command import command
from worker.scripts.loader import ScriptsUnusableError, load_scripts

HEAD = "from manycast.script import script\n"


def source(name: str, body: str = "return 'x'") -> str:
    return f"{HEAD}@script\nasync def {name}(run):\n    {body}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for scripts. Its modules are forgotten afterwards."""
    known, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_folder_gives_the_scripts_of_all_its_modules(folder: Path) -> None:
    (folder / "first_chain.py").write_text(source("one") + source("two"))
    (folder / "second_chain.py").write_text("from _words_of_chains import WORD\n" + source("three", "return WORD"))
    (folder / "_words_of_chains.py").write_text("WORD = 'x'\n")
    (folder / "third_chain").mkdir()
    (folder / "third_chain" / "__init__.py").write_text(source("four"))
    (folder / "notes.txt").write_text("no script")
    scripts = load_scripts(str(folder))
    assert list(scripts) == ["four", "one", "three", "two"]
    assert scripts["three"].place == f"{folder / 'second_chain.py'}, line 3"


def test_a_module_gives_its_scripts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "module_of_chains.py").write_text(source("one"))
    monkeypatch.chdir(folder)
    assert list(load_scripts("module_of_chains")) == ["one"]


def test_without_the_setting_there_are_no_scripts() -> None:
    assert load_scripts("") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEAD}\nnothing_of_that_name\n", "broken_chain.py, line 3: NameError: name 'nothing_of_that_name'"),
        ("def broken(:\n", "broken_chain.py, line 1: SyntaxError: "),
        ("f(\n", "broken_chain.py, line 1: SyntaxError: '(' was never closed:END"),
        ("import no_such_module_at_all\n", "broken_chain.py, line 1: ModuleNotFoundError: No module named"),
        ("import sys\nsys.exit(3)\n", "broken_chain.py, line 2: SystemExit: 3"),
        (f"{HEAD}@script\ndef plain(run): ...\n", "broken_chain.py, line 2: TypeError: a script is an `async def`"),
        (
            "from manycast import script\n@script\nasync def f(run): ...\n",
            "line 2: TypeError: 'module' object is not callable; if",
        ),
        (f"{HEAD}@script\nasync def bare(): ...\n", "broken_chain.py, line 2: TypeError: the script bare must take"),
        (f"{HEAD}@script('poem')\nasync def one(run): ...\n", "line 2: TypeError: write @script(name='poem'):END"),
        ("x = 1\n", "no function is a script: write @script, from manycast.script, above an `async def` function in "),
        ("\n\nasync def bare(run): ...\n", "from manycast.script, above bare ("),
        ("\n\nasync def bare(run): ...\n", "broken_chain.py, line 3):END"),
        ("from asyncio import sleep\n", "above an `async def` function in "),
    ],
)
def test_a_fault_is_told_with_its_file_and_line(folder: Path, text: str, words: str) -> None:
    (folder / "broken_chain.py").write_text(text)
    with pytest.raises(ScriptsUnusableError) as caught:
        load_scripts(str(folder))
    assert str(caught.value).startswith(f"MANYCAST_SCRIPTS '{folder}': ")
    assert words in f"{caught.value}:END"


def test_an_empty_folder_is_told(folder: Path) -> None:
    with pytest.raises(ScriptsUnusableError, match="there is no Python file in it"):
        load_scripts(str(folder))


def test_two_scripts_of_one_name_are_told_with_both_places(folder: Path) -> None:
    (folder / "chain_a.py").write_text(source("same"))
    (folder / "chain_b.py").write_text(source("same"))
    with pytest.raises(ScriptsUnusableError, match=r"'same': .*chain_a.py, line 2, and .*chain_b.py, line 2"):
        load_scripts(str(folder))


@pytest.mark.parametrize("second", [source("same"), source("same").replace("@script", "@script(name='other')")])
def test_two_scripts_of_one_function_name_in_a_file_are_told_with_both_lines(folder: Path, second: str) -> None:
    """Python would keep the second one only, and say nothing."""
    (folder / "twice.py").write_text(source("same") + source("more") + second)
    with pytest.raises(ScriptsUnusableError, match=r"'same': .*twice.py, line 2, and .*twice.py, line 10$"):
        load_scripts(str(folder))


def test_two_functions_with_one_name_of_a_script_are_told_with_both_lines(folder: Path) -> None:
    (folder / "named.py").write_text(source("same") + source("more").replace("@script", "@script(name='same')"))
    with pytest.raises(ScriptsUnusableError, match=r"'same': .*named.py, line 2, and .*named.py, line 6$"):
        load_scripts(str(folder))


def test_a_script_inside_a_function_replaces_none_of_its_module(folder: Path) -> None:
    inner = "def make():\n    @script(name='inner')\n    async def same(run): ...\n    return same\nother = make()\n"
    (folder / "nested.py").write_text(source("same") + inner)
    assert list(load_scripts(str(folder))) == ["inner", "same"]


@pytest.mark.parametrize("name", ["json.py", "worker.py"])
def test_a_file_with_the_name_of_another_module_is_told(folder: Path, name: str) -> None:
    (folder / name).write_text(source("one"))
    with pytest.raises(ScriptsUnusableError, match="rename this file"):
        load_scripts(str(folder))


@pytest.mark.parametrize("named", ["./no-such-folder", "no_such_module_of_scripts", "no.py"])
def test_what_is_not_there_is_told(named: str) -> None:
    with pytest.raises(ScriptsUnusableError, match=r"there is no such folder|there is no folder and no module"):
        load_scripts(named)


def test_a_worker_whose_scripts_are_broken_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    told = command(MANYCAST_SCRIPTS=str(tmp_path), OPENAI_API_KEY="x")
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert f"{tmp_path / 'broken.py'}, line 1: ZeroDivisionError" in told.stderr


@pytest.mark.parametrize(("file", "text"), [("chain.py", source("NAME")), ("_words.py", "NAME = 'x'\n")])
def test_a_file_that_is_saved_twice_in_a_second_is_read_twice(folder: Path, file: str, text: str) -> None:
    """The sizes are equal, too. So Python would take what it compiled the first time."""
    (folder / "importing_chain.py").write_text("import _words\n" + source("importing"))
    (folder / "_words.py").write_text("")
    for name in ("one", "two"):
        (folder / file).write_text(text.replace("NAME", name))
        os.utime(folder / file, (1, 1))
        assert name in names_apart(folder, file.removesuffix(".py"))


def names_apart(folder: Path, module: str) -> list[str]:
    """The names in a module, after a process that may keep compiled code has loaded the scripts of the folder."""
    code = (
        "import sys; from worker.scripts.loader import load_scripts; load_scripts(sys.argv[1]);"
        "print(*vars(sys.modules[sys.argv[2]]))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code, str(folder), module]
    ran = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return ran.stdout.split()
