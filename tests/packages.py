"""Installs packages that only a few tests need, from pins of their own, apart from the others."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 600
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
