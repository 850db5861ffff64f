"""The page's JavaScript: its types hold, and its pure modules do what they say. Node runs both."""

import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import install_packages

TOOLS = Path(__file__).parent / "tools"
DEADLINE_S = 120


@pytest.fixture(scope="module")
def node() -> str:
    return install_packages(TOOLS)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=TOOLS, check=False, capture_output=True, text=True, timeout=DEADLINE_S)


def test_the_types_of_every_module_hold(node: str) -> None:
    done = run(node, "node_modules/typescript/bin/tsc", "--project", ".")
    assert done.returncode == 0, done.stdout


def test_the_pure_modules_pass_their_tests(node: str) -> None:
    done = run(node, "--test", *sorted(file.name for file in TOOLS.glob("*.test.js")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_type_is_found(node: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.js").write_text("/** @type {number} */ export const text = 'text';\n")
    done = run(
        node, "node_modules/typescript/bin/tsc", "--allowJs", "--checkJs", "--noEmit", str(tmp_path / "wrong.js")
    )
    assert done.returncode != 0
