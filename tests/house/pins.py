"""`make pins`: writes every requirements.txt from the requirements.in files, with uv.

A requirements.in lists the direct dependencies of a part. The requirements.txt beside it pins every package that the
part installs, with the hashes of its files, for Python 3.11 and later on every platform. pip installs nothing whose
hash is not listed. A pinned package keeps its version unless a requirements.in or the command line asks for another.
"""

import subprocess
import sys

from tests.house.tree import ROOT

PRODUCT = ("gateway", "worker", "simulator", "manycast")
"""The parts that `pip install .` installs together."""
SETS = {
    "tests": (
        *PRODUCT,
        "web",
        "tests",
    ),  # the first: it holds every package, and the others take their versions from it
    ".": PRODUCT,
    "gateway": ("gateway",),
    "worker": ("worker",),
    "simulator": ("simulator",),
    "web": ("web",),
}
"""The folder of a requirements.txt -> the parts whose packages it pins."""
HEADER = "# Written by `make pins` from {sources}.\n"
_COMPILE = (
    *("-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
    # No line may name the index that this machine uses.
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"),
)


def main(renewed: list[str]) -> None:
    """`renewed`: names of packages to bring to their latest version that the requirements.in files allow."""
    for folder, parts in SETS.items():
        sources = [f"{part}/requirements.in" for part in parts]
        output = ROOT / folder / "requirements.txt"
        options = [option for package in renewed for option in ("--upgrade-package", package)]
        if folder != "tests":
            options += ["--constraint", "tests/requirements.txt"]
        compiled = [sys.executable, *_COMPILE, *options, *sources, "--output-file", str(output)]
        subprocess.run(compiled, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        output.write_text(HEADER.format(sources=", ".join(sources)) + output.read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
