"""`pip install .` into a fresh environment, and then the command in another folder."""

import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.manycast.command_line import environment, up

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout: nobody says what is ours")

INSTALL_LIMIT_S = 300
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
GENERATORS = re.findall(r"^```python\n(# my_module\.py\n.*?)^```$", OPERATIONS, re.DOTALL | re.MULTILINE)
SAID = ["You asked: Why is the sky blue?", "Hello world"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command, installed from a copy of the files that git knows: pip leaves its build in their folder."""
    source, home = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("home") / "venv"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    done = subprocess.run(
        [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "."],
        cwd=source,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=INSTALL_LIMIT_S,
        check=False,
    )
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    return str(home / "bin" / "manycast")


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as response:
        body: bytes = response.read()
        return body.decode()


def ask(command: str, cwd: Path, url: str, *options: str) -> str:
    asked = [command, "ask", "Why is the sky blue?", "--server", url, *options]
    done = subprocess.run(asked, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_serves_the_page_and_answers_in_any_folder(installed: str, tmp_path: Path) -> None:
    with up(tmp_path / "data", command=installed, cwd=tmp_path) as stack:
        for path in ("/", "/watch", "/runs"):
            assert "<!doctype html>" in read(stack.url + path).lower()
        for loaded in re.findall(r'(?:src|href)="(/?[\w./-]+\.(?:js|css|svg))"', read(stack.url)):
            assert read(f"{stack.url}/{loaded.lstrip('/')}")
        assert "watch" in read(f"{stack.url}/manycast.js")
        assert "sky" in ask(installed, tmp_path, stack.url, "--model", "demo-fast")


@pytest.mark.parametrize(("module", "said"), list(zip(GENERATORS, SAID, strict=True)))
def test_it_runs_a_generator_of_the_folder(installed: str, tmp_path: Path, module: str, said: str) -> None:
    (tmp_path / "my_module.py").write_text(module)
    # Nothing in the folder may hide a module of ours.
    (tmp_path / "worker.py").write_text("raise SystemExit('the wrong worker')")
    settings = {"MANYCAST_GENERATOR": "my_module:answer", "OPENAI_API_KEY": "unused"}
    with up(tmp_path / "data", command=installed, cwd=tmp_path, **settings) as stack:
        assert ask(installed, tmp_path, stack.url).strip() == said
