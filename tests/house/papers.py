"""That the papers tell the truth: settings, keys, pins and links. From a tree to a list of breaches."""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from pydantic_settings import BaseSettings

from contract import keys
from tests.house.pins import ALL, APART, SETS
from tests.house.tree import Tree

OPERATIONS = "docs/operations.md"
PROTOCOL = "docs/protocol.md"
_ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \| ([^|]*) \|", re.MULTILINE)


def our_settings(tree: Tree) -> list[type[BaseSettings]]:
    """The settings classes of every package that has a settings.py."""
    found = []
    for path in tree:
        if re.fullmatch(r"\w+/settings\.py", path):
            module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
            found += [
                value
                for value in vars(module).values()
                if inspect.isclass(value) and issubclass(value, BaseSettings) and value.__module__ == module.__name__
            ]
    return found


def environment_of(settings: type[BaseSettings]) -> dict[str, str]:
    """Environment name -> default as the papers write it: `-` where there is none, or where it is empty."""
    prefix = settings.model_config.get("env_prefix", "")
    names = {}
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        environment_name = alias if isinstance(alias, str) else f"{prefix}{name}"
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        names[environment_name.upper()] = "-" if default in (None, "") else str(default)
    return names


def untold_settings(tree: Tree, settings: list[type[BaseSettings]]) -> list[str]:
    """A setting without its row in operations.md, a row with another default, or a row that no setting has."""
    rows = [(name, default.strip(" `")) for name, default in _ROW.findall(tree.get(OPERATIONS, ""))]
    names = {name for one in settings for name in environment_of(one)}
    breaches = [f"{OPERATIONS}: no part reads {name}" for name, _ in rows if name not in names | _compose_names(tree)]
    for one in settings:
        for name, default in environment_of(one).items():
            if (name, default) not in rows:
                breaches.append(f"{OPERATIONS}: no row `{name}` with the default {default} ({one.__module__})")
    return breaches


def stale_examples(tree: Tree, settings: list[type[BaseSettings]]) -> list[str]:
    """A name in .env.example that neither a part nor docker-compose.yml reads."""
    known = {name for one in settings for name in environment_of(one)} | _compose_names(tree)
    names = re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", tree.get(".env.example", ""), re.MULTILINE)
    return [f".env.example: nobody reads {name}" for name in names if name not in known]


def untold_keys(tree: Tree) -> list[str]:
    """A Redis key that protocol.md does not list, or a listed one that contract/keys.py does not make."""
    made = {key.replace("p00", "pNN") for key in _every_key()}
    told = set(re.findall(r"^\| `(mc:[^`]+)` \|", tree.get(PROTOCOL, ""), re.MULTILINE))
    untold = [f"{PROTOCOL} does not list {key}" for key in sorted(made - told)]
    return untold + [f"{PROTOCOL} lists {key}, which nobody makes" for key in sorted(told - made)]


def _every_key() -> Iterator[str]:
    """Every key and channel, of a stream ID, of a caller or a name whose digest is HASH, and of partition 0."""
    space = keys.USUAL_KEYS
    queue = space.queue(0)
    yield from space.stream("ID")
    yield from (key for key in queue if key != queue.tag)
    for holder in (space, queue):
        for name, member in inspect.getmembers(type(holder)):
            if isinstance(member, property) and not name.startswith("_"):
                yield getattr(holder, name)
            elif inspect.isfunction(member) and list(inspect.signature(member).parameters) == ["self", "digest"]:
                made = member(holder, "HASH")
                yield from [made] if isinstance(made, str) else made


def loose_pins(tree: Tree) -> list[str]:
    """A requirement without `==`, or one that the requirements.txt beside it or the tests' pins otherwise."""
    breaches = []
    for path in (path for path in tree if PurePosixPath(path).name == "requirements.in"):
        locked = {"tests/requirements.txt", path.replace(".in", ".txt")} & tree.keys()
        for pin in _pins(tree, path):
            if "==" not in pin:
                breaches.append(f"{path}: {pin} has no exact version")
            breaches += [
                f"{lock} does not hold {pin} of {path}: `make pins`" for lock in locked if pin not in _pins(tree, lock)
            ]
    return breaches


def unlocked_pins(tree: Tree) -> list[str]:
    """A file of pins with a package without hashes, with an address, or with a version that is not the tests' (unless
    packages are installed apart)."""
    known = _pins(tree, ALL)
    breaches = []
    apart = {f"{name}.txt" for name in APART}
    for path in tree.keys() & (SETS.keys() | apart):
        if path not in apart:
            breaches += [f"{path}: {pin} is not the version that the tests use" for pin in _pins(tree, path) - known]
        entries = tree[path].replace("\\\n", " ").splitlines()
        breaches += [
            f"{path}: no hash in {entry}" for entry in entries if entry[:1] not in {"#", ""} and "--hash=" not in entry
        ]
        breaches += [f"{path}: names an address" for _ in re.findall(r"\w://", tree[path])]
    return breaches


def dead_links(tree: Tree) -> list[str]:
    """A link in a paper to a file that is not there."""
    breaches = []
    for path, text in tree.items():
        if not path.endswith(".md"):
            continue
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" in target or target.startswith("mailto:"):
                continue
            place = (PurePosixPath(path).parent / target).as_posix()
            folded = "/".join(_fold(place.split("/")))
            if not any(name == folded or name.startswith(f"{folded}/") for name in tree):
                breaches.append(f"{path} links to {target}, which is not there")
    return breaches


def missing_files(tree: Tree) -> list[str]:
    """A document names a file or folder of ours in backticks, and the tree does not contain it."""
    code = {path.partition("/")[0] for path in tree if path.endswith(".py") and "/" in path}
    folders = sorted(code | {"docs", "web"})
    named = re.compile(rf"`((?:{'|'.join(folders)})/[\w./-]*)(?:::\w+)?`")
    return [
        f"{paper} names {path}, which is not there"
        for paper, text in tree.items()
        if paper.endswith(".md")
        for path in named.findall(text)
        if path not in tree and not any(other.startswith(f"{path.rstrip('/')}/") for other in tree)
    ]


def missing_tests(tree: Tree) -> list[str]:
    """A paper claims that a test holds something, and there is no such test."""
    return [
        f"{paper} names {path}::{name}, which is not there"
        for paper, text in tree.items()
        if paper.endswith(".md")
        for path, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", text)
        if f"def {name}(" not in tree.get(path, "")
    ]


def _fold(parts: list[str]) -> list[str]:
    folded: list[str] = []
    for part in parts:
        if part == "..":
            folded = folded[:-1]
        elif part not in {"", "."}:
            folded.append(part)
    return folded


def _compose_names(tree: Tree) -> set[str]:
    """What docker-compose.yml takes from the caller's environment: `${NAME…}`, or `NAME:` without a value."""
    found = re.findall(
        r"\$\{([A-Z][A-Z0-9_]+)|^ +([A-Z][A-Z0-9_]+):$", tree.get("docker-compose.yml", ""), re.MULTILINE
    )
    return {name for pair in found for name in pair if name}


def _pins(tree: Tree, path: str) -> set[str]:
    """`name==version` of each package, without markers and hashes, the name as PyPI normalises it."""
    entries = re.findall(r"^[A-Za-z][^;\s\\]*", tree.get(path, ""), re.MULTILINE)
    return {
        re.sub(r"[-_.]+", "-", name).lower() + equals + version
        for name, equals, version in (entry.partition("==") for entry in entries)
    }
