"""`make audit`: whether a package that we pin has a known vulnerability, and one that nobody has judged yet.

Advisories come from outside, and may come any day. So a service that cannot be asked is a line and no failure, and an
advisory that was judged stands, with the reason, in .ci/advisories.txt until its fix is pinned.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from tests.house.tree import ROOT

JUDGED = ROOT / ".ci/advisories.txt"
DEADLINE_S = 180
_PIP_AUDIT = ("-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")
_AWAY = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ServiceError", "Max retries exceeded", "HTTPError")


def judged_advisories(text: str) -> dict[str, str]:
    """Id -> reason. Raises: ValueError for a line without a reason."""
    judged = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            advisory, _, reason = line.partition(" ")
            if not reason.strip():
                raise ValueError(f"{JUDGED.name}: {advisory} has no reason")
            judged[advisory] = reason.strip()
    return judged


def judge(dependencies: Sequence[dict[str, Any]], judged: dict[str, str]) -> tuple[int, list[str]]:
    """The exit status, and what to say, from what pip-audit found."""
    lines, found, unjudged = [], set(), 0
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    for one in dependencies:
        for advisory in one.get("vulns", ()):
            names = {advisory["id"], *advisory["aliases"]}
            found |= names
            reasons = [judged[name] for name in sorted(names & set(judged))]
            unjudged += not reasons
            fix = ", ".join(advisory["fix_versions"]) or "no version"
            lines.append(
                f"{one['name']} {one['version']}: {', '.join(sorted(names))}, fixed in {fix}"
                + (f" (judged: {reasons[0]})" if reasons else "")
            )
    lines += [f"{JUDGED.name}: nothing pinned has {name} any more" for name in judged if name not in found]
    if skipped:
        lines.append(f"the service knows nothing of {len(skipped)} packages, {skipped[0]} for one")
    lines.append(f"{len(dependencies) - len(skipped)} packages checked, {unjudged} advisories that nobody has judged")
    return int(unjudged > 0), lines


def audit(pins: str, options: Sequence[str]) -> tuple[int, list[str]]:
    """Asks about a file of pins. `options` are pip-audit's own."""
    try:
        asked = subprocess.run(
            [sys.executable, *_PIP_AUDIT, "--requirement", pins, *options],
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
    except subprocess.TimeoutExpired:
        return 0, [f"nothing checked: no answer within {DEADLINE_S} seconds"]
    try:
        answer = json.loads(asked.stdout)
    except ValueError:
        last = (asked.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if any(word in asked.stderr for word in _AWAY):
            return 0, [f"nothing checked, the advisories cannot be reached: {last}"]
        return 1, [f"nothing checked: {last}"]
    return judge(answer["dependencies"], judged_advisories(JUDGED.read_text()))


if __name__ == "__main__":
    status, told = audit(str(ROOT / "constraints.txt"), sys.argv[1:])
    for line in told:
        print(f"audit: {line}")
    sys.exit(status)
