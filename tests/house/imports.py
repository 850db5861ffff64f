"""Which modules may import an outside library. `lint-imports` checks imports between our own packages (pyproject.toml).

Pure: from a tree to a list of breaches.
"""

import sys
from collections import defaultdict

from tests.house.tree import PACKAGES, Tree, imported_names, python_files

# A library with more than one door in a package, and why that is right.
WIDE_DOORS = {
    ("gateway", "fastapi"): "a route is declared in the module of its call",
    ("gateway", "uvicorn"): "its server is run in __main__, its protocol is extended in guarded_protocol",
    ("gateway", "pydantic"): "settings, lines of API keys, and the bodies of requests and responses are all models",
    ("worker", "aiohttp"): "its errors are in openai_source, its reader is extended in direct_reader",
    ("worker", "httpx2"): "the client is in openai_source, its responses also pass through direct_reader",
    ("worker", "pydantic"): "the settings and the table of providers are models",
    ("gateway", "starlette"): "FastAPI is Starlette underneath: responses, types, exceptions",
    ("manycast", "pydantic"): "the settings of the command, and the schemas of scripts, which import nothing of ours",
    ("simulator", "fastapi"): "a route is declared in the module of its call",
}

IMPORTED_AS = {
    "pydantic-settings": "pydantic_settings",
    "prometheus-client": "prometheus_client",
    "pyjwt": "jwt",
    "sse-starlette": "sse_starlette",
}


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
    """A package imports what its own requirements.in does not name: its image would not have it.

    `contract` has none of its own: it may import only what both who stand on it name.
    """
    return [
        f"{paths[0]} imports {library}, which {owner}/requirements.in does not name"
        for (package, library), paths in doors(tree).items()
        for owner in (("gateway", "worker") if package == "contract" else (package,))
        if library not in _direct_dependencies(tree, owner)
    ]


def _direct_dependencies(tree: Tree, package: str) -> set[str]:
    named = set()
    for line in tree.get(f"{package}/requirements.in", "").splitlines():
        distribution = line.partition("==")[0].strip()
        named.add(IMPORTED_AS.get(distribution, distribution))
    return named
