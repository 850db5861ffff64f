"""`make audit`: asks pip-audit whether a pinned package has a known vulnerability.

Advisories that do no harm here are listed in .ci/advisories.txt, each with its reason; pip-audit ignores them. An audit
that checked nothing fails with its own status, so that a caller can tell it from a vulnerability.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.house.pins import ALL, APART
from tests.house.tree import ROOT

IGNORED = ROOT / ".ci/advisories.txt"
DEADLINE_S = 180
NOTHING_CHECKED = 3
"""The exit status when the advisory service cannot be reached or knows none of the packages."""
_PIP_AUDIT = ("-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")


def ignored_advisories(text: str) -> list[str]:
    """The ids. Raises: ValueError for a line without a reason."""
    ids = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            advisory, _, reason = line.partition(" ")
            if not reason.strip():
                raise ValueError(f"{IGNORED.name}: {advisory} has no reason")
            ids.append(advisory)
    return ids


def audit_all(pins: Sequence[str], ignored: Sequence[str], options: Sequence[str]) -> tuple[int, list[str]]:
    """`audit` of several files, which may pin one package differently. Ends with a file of which nothing is checked."""
    status, lines = 0, []
    for file in pins:
        found, told = audit(file, ignored, options)
        status = max(status, found)
        lines += [f"{Path(file).name}: {line}" for line in told]
        if found == NOTHING_CHECKED:
            break
    return status, lines


def audit(pins: str, ignored: Sequence[str], options: Sequence[str]) -> tuple[int, list[str]]:
    """The exit status, and the lines to print, for a file of pins. `options` are pip-audit's own."""
    ignoring = [word for advisory in ignored for word in ("--ignore-vuln", advisory)]
    try:
        asked = subprocess.run(
            [sys.executable, *_PIP_AUDIT, "--requirement", pins, *ignoring, *options],
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        dependencies = json.loads(asked.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return NOTHING_CHECKED, [f"nothing checked: no answer within {DEADLINE_S} seconds"]
    except ValueError:
        return NOTHING_CHECKED, [
            f"nothing checked: {(asked.stderr.strip().splitlines() or ['pip-audit printed nothing'])[-1]}"
        ]
    lines = [
        f"{one['name']} {one['version']}: {', '.join([advisory['id'], *advisory['aliases']])}, "
        f"fixed in {', '.join(advisory['fix_versions']) or 'no version'}"
        for one in dependencies
        for advisory in one.get("vulns", ())
    ]
    unknown = [one["name"] for one in dependencies if "skip_reason" in one]
    if unknown:
        lines.append(f"the service does not know {len(unknown)} packages, {unknown[0]} for example")
    checked = len(dependencies) - len(unknown)
    lines.append(f"{checked or 'no'} packages checked")
    return (asked.returncode if checked else NOTHING_CHECKED), lines


if __name__ == "__main__":
    audited = [str(ROOT / file) for file in (ALL, *(f"{name}.txt" for name in APART))]
    status, told = audit_all(audited, ignored_advisories(IGNORED.read_text()), sys.argv[1:])
    for line in told:
        print(f"audit: {line}")
    sys.exit(status)
