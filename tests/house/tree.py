"""The repository as text: what the checks of this house read. Reads files, and asks git which ones are ours."""

import ast
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
PACKAGES = ("contract", "gateway", "worker", "simulator", "manycast")

Tree = Mapping[str, str]
"""Path from the root, with slashes -> text."""


@cache
def our_tree() -> Tree:
    """Every file that is tracked or about to be; of a picture only its name, its text is empty."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
    tree = {}
    for name in names:
        path = ROOT / name
        if name and path.is_file():
            raw = path.read_bytes()
            tree[name] = "" if b"\0" in raw else raw.decode(errors="replace")
    return tree


def python_files(tree: Tree, packages: tuple[str, ...] = PACKAGES) -> Iterator[tuple[str, ast.Module]]:
    """The Python files below these top-level folders, parsed."""
    for name, text in tree.items():
        if name.endswith(".py") and name.split("/")[0] in packages:
            yield name, ast.parse(text, name)


def module_name(path: str) -> str:
    """`gateway/fanout/hub.py` -> `gateway.fanout.hub`, `gateway/__init__.py` -> `gateway`."""
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: str, module: ast.Module) -> Iterator[str]:
    """Every absolute name that the module imports, wherever it does: `from a.b import c` gives `a.b.c`."""
    package = PurePosixPath(path).parent.parts
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)
