"""The examples of docs/scripts.md, for tests and for the load of a chaos run. They are written on that page only."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

from manycast.script import Script

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scripts.md"
MODULES = ("haiku", "quiz", "secretary", "summary", "shop", "careful", "test_haiku")
"""The names of the files that the Python blocks of the page would be in, in their order. The last one is a test."""
TEXTS = {
    "haiku": "autumn",
    "quiz": "",
    "secretary": "Use send_mail to greet Ada",
    "summary": "A long text. " * 700,
    "party": "",
    "careful": "Explain tides",
}
"""What the user says to each script: the simulator calls a tool only if it is named."""


def has_page() -> bool:
    """Whether the page is there. It is not beside a package that was installed."""
    return PAGE.exists()


def read_examples() -> dict[str, str]:
    """The source of each module, without the test; empty without the page."""
    return {name: source for name, source in read_blocks().items() if not name.startswith("test_")}


def read_blocks() -> dict[str, str]:
    """As `read_examples`, with the test. Raises: ValueError if the page has other blocks than MODULES says."""
    if not has_page():
        return {}
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return dict(zip(MODULES, blocks, strict=True))


def load_examples() -> dict[str, Script[Any]]:
    """The scripts of the examples, by name."""
    scripts: dict[str, Script[Any]] = {}
    for name, source in read_examples().items():
        module = ModuleType(name)
        exec(compile(source, f"{name}.py", "exec"), vars(module))  # noqa: S102 -- our own page
        scripts |= {value.name: value for value in vars(module).values() if isinstance(value, Script)}
    return scripts
