"""How the code is cut: sizes, names, and what no file of ours may hold. Pure: from a tree to a list of breaches."""

import ast
import re
from pathlib import Path, PurePosixPath

from tests.house.tree import PACKAGES, ROOT, Tree, module_name, python_files

FUNCTION_LIMIT_LINES = 60
NOT_USED = {"manager", "helper", "util", "common", "handler", "processor"}
READS_ENVIRONMENT = {"settings.py", "__main__.py"}
LUA_HEADER = ("KEYS:", "ARGV:", "Returns:", "Errors:", "Cost:")

# Written so that they do not find themselves.
REGISTRIES = re.compile(r"(?i)py[p]i\.org|python[h]osted\.org|npm[j]s\.(org|com)|deb\.[d]ebian\.org|/[s]imple/")
ANY_MACHINE = re.compile(r"/[h]ome/[a-z]|/[U]sers/[A-Za-z]|/[r]oot/")


def long_functions(tree: Tree) -> list[str]:
    """A function that does not fit a screen."""
    breaches = []
    for path, module in python_files(tree, (*PACKAGES, "tests", "bench")):
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LIMIT_LINES:
                    breaches.append(f"{path}:{node.lineno} {node.name} has {lines} lines")
    return breaches


def unused_words(tree: Tree) -> list[str]:
    """A module or class named by a word that says nothing."""
    breaches = []
    for path, module in python_files(tree):
        names = [module_name(path).rpartition(".")[2]]
        names += [node.name for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
        for name in names:
            words = {word.lower().removesuffix("s") for word in re.findall(r"[A-Z]?[a-z]+", name)}
            if words & NOT_USED:
                breaches.append(f"{path}: {name} is named by a word that we do not use")
    return breaches


def scattered_environment(tree: Tree) -> list[str]:
    """The environment is read outside of settings.py and __main__.py. (The command hands its own to its children.)"""
    return [
        f"{path}:{node.lineno} reads the environment"
        for path, module in python_files(tree, ("contract", "gateway", "worker", "simulator"))
        if PurePosixPath(path).name not in READS_ENVIRONMENT
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]


def headless_lua(tree: Tree) -> list[str]:
    """A Lua file that does not say on top: its name, KEYS, ARGV, Returns, Errors, Cost, in this order."""
    breaches = []
    for path, text in tree.items():
        if not path.endswith(".lua"):
            continue
        header = re.match(r"(?:--.*\n)*", text)
        assert header is not None
        places = [header[0].find(word) for word in LUA_HEADER]
        if -1 in places or places != sorted(places):
            breaches.append(f"{path}: its header lacks one of {' '.join(LUA_HEADER)}, or has another order")
        if not text.startswith(f"-- {PurePosixPath(path).stem}: "):
            breaches.append(f"{path}: its first line does not name it")
    return breaches


def foreign_places(tree: Tree) -> list[str]:
    """A line that names a package registry or a path of one machine."""
    here = re.compile("|".join(re.escape(str(place)) + r"\b" for place in (ROOT, Path.home())))
    return [
        f"{path}:{number} names a registry or a path of one machine"
        for path, text in tree.items()
        for number, line in enumerate(text.splitlines(), 1)
        if REGISTRIES.search(line) or ANY_MACHINE.search(line) or here.search(line)
    ]


def pretended_parts(tree: Tree) -> list[str]:
    """A test that imports a mock or a false Redis."""
    return [
        f"{path} imports a pretended part"
        for path, text in tree.items()
        if path.startswith("tests/")
        and re.search(r"^\s*(from|import) (unittest\.mock|unittest import mock|fakeredis)", text, re.M)
    ]
