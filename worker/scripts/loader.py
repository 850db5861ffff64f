"""Finds the scripts that MANYCAST_SCRIPTS names: a folder, or an importable module."""

import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from manycast.script import Script, script

Scripts = Mapping[str, Script[Any]]
"""By name."""


SHOWN_FILES = 3


class ScriptsUnusableError(Exception):
    """MANYCAST_SCRIPTS cannot be used. The text is for the operator, and names the file and the line."""


def load_scripts(named: str) -> Scripts:
    """All scripts of the modules in a folder, or of one module. None if `named` is empty.

    A folder is put on the module path, so that its files can import each other. Names that begin with `_` or `.` are
    left out. Raises: ScriptsUnusableError.
    """
    found: dict[str, Script[Any]] = {}
    if not named:
        return found
    # Python takes compiled code for current if the file's size and the second of its last change are the same. A script
    # that is saved twice in a second would go on in its first form.
    sys.dont_write_bytecode = True
    modules = []
    for module in _modules(named):
        modules.append(module)
        for value in vars(module).values():
            if not isinstance(value, Script):
                continue
            if (lost := value.replaced) is not None:
                name = value.function.__name__
                raise _error(
                    named, f"two scripts are functions with the name '{name}': {lost.place}, and {value.place}"
                )
            known = found.setdefault(value.name, value)
            if known is not value:
                raise _error(named, f"two scripts have the name '{value.name}': {known.place}, and {value.place}")
    if not found:
        raise _error(named, _describe_lack(modules))
    return dict(sorted(found.items()))


def _describe_lack(modules: Iterable[ModuleType]) -> str:
    """Why there is no script, and which function could be meant to be one."""
    asked = "write @script, from manycast.script, above"
    names = []
    for module in modules:
        names.append(f"{module.__file__}")
        for value in vars(module).values():
            is_own = inspect.isfunction(value) and value.__module__ == module.__name__
            if is_own and (inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value)):
                place = f"{value.__code__.co_filename}, line {value.__code__.co_firstlineno}"
                return f"no function is a script: {asked} {value.__name__} ({place})"
    if not names:
        return "there is no Python file in it"
    return f"no function is a script: {asked} an `async def` function in {' or '.join(names[:SHOWN_FILES])}"


def _modules(named: str) -> Iterator[ModuleType]:
    folder = Path(named).expanduser()
    if not folder.is_dir():
        if "/" in named or named.endswith(".py"):
            raise _error(named, "there is no such folder")
        _put_on_path(Path.cwd())
        first = named.partition(".")[0]
        if not first.isidentifier() or find_spec(first) is None:
            raise _error(named, "there is no folder and no module with this name")
        yield _import(named, named)
        return
    folder = folder.resolve()
    _put_on_path(folder)
    for path in sorted(folder.iterdir()):
        name = path.stem
        is_module = path.suffix == ".py" or (path / "__init__.py").is_file()
        if not is_module or name.startswith(("_", ".")):
            continue
        if not name.isidentifier():
            raise _error(named, f"{path}: the name of a module consists of letters, digits and underscores")
        module = _import(named, name)
        place = Path(module.__file__ or "")
        if place not in (path, path / "__init__.py"):
            raise _error(named, f"{path}: another module has the name '{name}' ({place}): rename this file")
        yield module


def _import(named: str, name: str) -> ModuleType:
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        # The text of a syntax error repeats its file and line.
        told = error.msg if isinstance(error, SyntaxError) else str(error)
        if told == "'module' object is not callable":
            told += "; if you mean the decorator: from manycast.script import script"
        raise _error(named, f"{_place_of(error)}{type(error).__name__}: {told}") from error


def _place_of(error: BaseException) -> str:
    """The author's file and line of an error: not those of Python's own importing, nor those of the decorator."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: "
    frames = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith("<")]
    not_theirs = (__file__, import_module.__code__.co_filename, script.__code__.co_filename)
    here = [one for one in frames if one.filename not in not_theirs]
    return f"{here[-1].filename}, line {here[-1].lineno}: " if here else ""


def _put_on_path(folder: Path) -> None:
    # Last, so that no file of the folder hides an installed module.
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _error(named: str, text: str) -> ScriptsUnusableError:
    return ScriptsUnusableError(f"MANYCAST_SCRIPTS '{named}': {text}")
