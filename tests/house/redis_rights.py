"""Whether the services may send to the stack's Redis what our code sends. From a tree to a list of breaches."""

import re

from tests.house.tree import Tree

_SENT = re.compile(r"""redis\.p?call\('(\w+)'|call_redis\([^,"]+, "(\w+)"|send\("(\w+)\"""")


def forbidden_commands(tree: Tree) -> list[str]:
    """Commands of contract/, gateway/ and worker/ that docker-compose.yml permits to nobody."""
    permitted = {word.lower() for word in re.findall(r"\+(\w+)", tree.get("docker-compose.yml", ""))}
    sent = {
        (command.lower(), path)
        for path, text in tree.items()
        if path.startswith(("contract/", "gateway/", "worker/"))
        for command in filter(None, (group for found in _SENT.finditer(text) for group in found.groups()))
    }
    return [f"{path}: no service may send {command}" for command, path in sorted(sent) if command not in permitted]
