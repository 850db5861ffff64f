"""What to type to call this command again: advice names it as its user did. No I/O."""

from collections.abc import Sequence
from pathlib import PurePath


def own_name(argv: Sequence[str], on_path: str | None) -> str:
    """`argv`: the words with which this process was started, the interpreter first, as in `sys.orig_argv`. `on_path`:
    the `manycast` that a shell finds, if there is one.
    """
    for at, word in enumerate(argv):
        if word == "-m":
            return f"{argv[0]} -m manycast"
        if at > 0 and PurePath(word).name == "manycast":
            return "manycast" if word == on_path else word
    return "manycast"
