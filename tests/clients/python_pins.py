"""Installs the packages of programs that are tested beside ours, from pins of their own."""

import subprocess
import sys
from pathlib import Path

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
