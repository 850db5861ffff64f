"""Who may import what: floors, doors and circles. Pure: from a tree to a list of breaches."""

import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

from tests.house.tree import PACKAGES, Tree, imported_names, module_name, python_files

STANDS_ON = {
    "contract": set(),
    "gateway": {"contract"},
    "worker": {"contract"},
    "simulator": set(),
    "manycast": {"contract", "gateway", "worker", "simulator"},
}

# A library with more than one door in a package, and why that is right.
WIDE_DOORS = {
    ("gateway", "fastapi"): "a route is declared in the module of its call",
    ("gateway", "uvicorn"): "its server is run in __main__, its protocol is extended in guarded_protocol",
    ("gateway", "pydantic"): "settings and the lines of API keys are both checked against their shape",
    ("gateway", "starlette"): "FastAPI is Starlette underneath: responses, types, exceptions",
    ("simulator", "fastapi"): "a route is declared in the module of its call",
}

IMPORTED_AS = {
    "pydantic-settings": "pydantic_settings",
    "prometheus-client": "prometheus_client",
    "pyjwt": "jwt",
    "sse-starlette": "sse_starlette",
}


def broken_floors(tree: Tree) -> list[str]:
    """A package imports one that it does not stand on."""
    breaches = []
    for path, module in python_files(tree):
        floor = path.split("/")[0]
        for name in imported_names(path, module):
            target = name.split(".")[0]
            if target in PACKAGES and target not in STANDS_ON[floor] | {floor}:
                breaches.append(f"{path} imports {name}: {floor} does not stand on {target}")
            if target == "tests":
                breaches.append(f"{path} imports {name}: nothing stands on the tests")
    return breaches


def doors(tree: Tree) -> dict[tuple[str, str], list[str]]:
    """(package, outside library) -> the modules that import it."""
    found = defaultdict(set)
    for path, module in python_files(tree):
        for name in imported_names(path, module):
            library = name.split(".")[0]
            if library not in PACKAGES and library not in sys.stdlib_module_names:
                found[path.split("/")[0], library].add(path)
    return {door: sorted(paths) for door, paths in found.items()}


def second_doors(tree: Tree) -> list[str]:
    """An outside library is imported in two modules of a package, and no reason is given."""
    return [
        f"{package} imports {library} in {', '.join(paths)}: one door is enough"
        for (package, library), paths in doors(tree).items()
        if len(paths) > 1 and (package, library) not in WIDE_DOORS
    ]


def unnamed_dependencies(tree: Tree) -> list[str]:
    """A package imports what its own requirements.txt does not name: its image would not have it.

    `contract` has none of its own: it may import only what both who stand on it name.
    """
    return [
        f"{paths[0]} imports {library}, which {owner}/requirements.txt does not name"
        for (package, library), paths in doors(tree).items()
        for owner in (("gateway", "worker") if package == "contract" else (package,))
        if library not in _direct_dependencies(tree, owner)
    ]


def circles(tree: Tree) -> list[str]:
    """Modules that import each other, over however many corners."""
    modules = {module_name(path) for path, _ in python_files(tree)}
    graph = {}
    for path, module in python_files(tree):
        targets = {_module_of(name, modules) for name in imported_names(path, module)}
        graph[module_name(path)] = targets - {module_name(path), None}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def _module_of(name: str, modules: set[str]) -> str | None:
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def _direct_dependencies(tree: Tree, package: str) -> set[str]:
    named = set()
    for line in tree.get(f"{package}/requirements.txt", "").splitlines():
        distribution = line.partition("==")[0].strip()
        named.add(IMPORTED_AS.get(distribution, distribution))
    return named
