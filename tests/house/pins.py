"""`make pins`: writes every file of pins from the files that name direct dependencies, with uv.

A requirements.in lists the direct dependencies of a part. The requirements.txt beside it pins every package that the
part installs, with the hashes of its files, for Python 3.11 and later on every platform. pip installs nothing whose
hash is not listed. A pinned package keeps its version unless a requirements.in or the command line asks for another.
"""

import subprocess
import sys

from tests.house.tree import ROOT

PRODUCT = tuple(f"{part}/requirements.in" for part in ("gateway", "worker", "simulator", "manycast"))
"""Of the parts that `pip install .` installs together."""
ALL = "tests/requirements.txt"
"""It holds every package, and the others take their versions from it."""
SETS = {
    ALL: (*PRODUCT, "web/requirements.in", "tests/requirements.in"),
    "requirements.txt": PRODUCT,
    "gateway/requirements.txt": ("gateway/requirements.in",),
    "worker/requirements.txt": ("worker/requirements.in",),
    "worker/socks.txt": ("worker/socks.in",),
    "simulator/requirements.txt": ("simulator/requirements.in",),
    "web/requirements.txt": ("web/requirements.in",),
}
"""A file of pins -> the files that name its direct dependencies."""
APART = (
    *(f"tests/clients/python/{name}" for name in ("agents", "dspy", "instructor", "litellm", "pydantic_ai")),
    "tests/helm/tools",
)
"""The PATH of PATH.in and PATH.txt: a library, and each package that it needs and the tests lack. They are compiled and
installed without dependencies, because their ranges exclude versions that are pinned here, or because they are large
and only a file in them is needed. What Open WebUI is installed
from is not among them: it demands exact versions of its packages, so that no package can be renewed by itself."""
HEADER = "# Written by `make pins` from {sources}.\n"
_COMPILE = (
    *("-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
    # No line may name the index that this machine uses.
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"),
)


def main(renewed: list[str]) -> None:
    """`renewed`: names of packages to bring to their latest version that the requirements.in files allow."""
    renewing = [option for package in renewed for option in ("--upgrade-package", package)]
    for output, sources in SETS.items():
        constraint = () if output == ALL else ("--constraint", ALL)
        _compile(sources, output, *renewing, *constraint)
    for name in APART:
        _compile((f"{name}.in",), f"{name}.txt", *renewing, "--no-deps")


def _compile(sources: tuple[str, ...], output: str, *options: str) -> None:
    compiled = [sys.executable, *_COMPILE, *options, *sources, "--output-file", output]
    subprocess.run(compiled, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    written = ROOT / output
    written.write_text(HEADER.format(sources=", ".join(sources)) + written.read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
