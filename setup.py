"""Adds the page to the wheel, as manycast/web. pyproject.toml has everything else."""

import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WEB = Path(__file__).resolve().parent / "web"
FOLDERS = ("pages", "parts", "client")


class BuildWithPage(build_py):
    """Copies the page's files. In an editable installation the gateway serves them from the clone."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        if not (WEB / "parts" / "vendor").is_dir():
            # Needs npm; without it this prints that the page will show plain text.
            subprocess.run([sys.executable, str(WEB / "install.py")], check=True)  # noqa: S603 - our own script
        for name in FOLDERS:
            target = Path(self.build_lib) / "manycast" / "web" / name
            # An earlier build may have left files that are no longer ours.
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(WEB / name, target)


setup(cmdclass={"build_py": BuildWithPage})
