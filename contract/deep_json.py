"""JSON of any depth. The standard library's functions recurse, and fail at some 1,000 levels. Pure: no I/O."""

import json
import re
from typing import Any

_PIECE = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*"|[^\s,:\[\]{}"]+')


class _Written(str):
    """A piece of finished output. Anything else on the stack still has to be encoded."""

    __slots__ = ()


def read_deep_json(text: str) -> Any:
    """As `json.loads`, at any depth. `text` must be JSON that `write_deep_json` or `encode_json` wrote."""
    outermost: list[Any] = []
    open_containers: list[Any] = [outermost]
    name: str | None = None
    for piece in _PIECE.findall(text):
        if piece in ("]", "}"):
            open_containers.pop()
            continue
        container = open_containers[-1]
        if isinstance(container, dict) and name is None:
            name = json.loads(piece)
            continue
        value: Any = [] if piece == "[" else {} if piece == "{" else json.loads(piece)
        if isinstance(container, dict):
            container[name], name = value, None
        else:
            container.append(value)
        if piece in ("[", "{"):
            open_containers.append(value)
    return outermost[0]


def write_deep_json(value: object, *, ensure_ascii: bool) -> str:
    """As `json.dumps` without spaces, at any depth. Raises: ValueError for NaN and infinities."""
    encode = json.JSONEncoder(ensure_ascii=ensure_ascii, allow_nan=False).encode
    written: list[str] = []
    # A stack: its last item is written next.
    rest: list[Any] = [value]
    while rest:
        each = rest.pop()
        if isinstance(each, _Written):
            written.append(each)
        elif isinstance(each, dict) and each:
            rest.append(_Written("}"))
            fields = list(each.items())
            for at in range(len(fields) - 1, -1, -1):
                name, held = fields[at]
                rest += (held, _Written(f"{',' if at else '{'}{encode(name)}:"))
        elif isinstance(each, list) and each:
            rest.append(_Written("]"))
            for at in range(len(each) - 1, -1, -1):
                rest += (each[at], _Written("," if at else "["))
        else:
            written.append(encode(each))
    return "".join(written)
