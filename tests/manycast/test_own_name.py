"""Advice names the command as its user called it."""

import pytest

from manycast.own_name import own_name


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/opt/venv/bin/python", "/opt/venv/bin/manycast", "ask", "Why?"], "manycast"),
        (["/clone/.venv/bin/python", ".venv/bin/manycast", "ask", "Why?"], ".venv/bin/manycast"),
        (["python3", "/elsewhere/bin/manycast", "up"], "/elsewhere/bin/manycast"),
        ([".venv/bin/python", "-m", "manycast", "up"], ".venv/bin/python -m manycast"),
        (["python", "-X", "dev", "-m", "manycast", "up"], "python -m manycast"),
        (["python", "-c", "import manycast"], "manycast"),
    ],
)
def test_the_command_is_named_as_it_was_called(argv: list[str], name: str) -> None:
    assert own_name(argv, "/opt/venv/bin/manycast") == name
