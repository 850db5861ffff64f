"""Every block of code in the papers is run by a test, or has a reason why none can run it."""

import re
from collections.abc import Iterator

from tests.house.tree import Tree

RUN = {
    ("README.md", "python"): "tests/clients/test_snippets.py",
    ("README.md", "js"): "tests/clients/test_snippets.py",
    ("README.md", "sh"): "tests/clients/test_snippets.py",
    **{
        ("docs/use-it-with.md", language): "tests/clients/test_snippets.py"
        for language in ("python", "js", "jsx", "sh", "browser", "html")
    },
    ("docs/use-it-with.md", "mjs"): "tests/clients/test_proxies.py",
    ("docs/use-it-with.md", "nginx"): "tests/clients/test_proxies.py",
    ("docs/kubernetes.md", "yaml"): "tests/helm/test_chart.py",
    ("docs/operations.md", "python"): "tests/manycast/test_installed.py",
    ("docs/scripts.md", "python"): "tests/manycast/script/test_examples.py",
    ("docs/providers.md", "toml"): "tests/worker/providers/test_provider_table.py",
}
"""(file, language of a fenced block) -> the test that runs all such blocks."""

_MAKE = "make installs, and the tests themselves run by make"
_COMPOSE = "tests/compose builds and starts the stack in its own project, on its own ports"
_DRAWING = "a drawing"
_FORMAT = "shows a format"
NOT_RUN = {
    ("README.md", "make run"): _MAKE,
    ("README.md", "docker compose up --build"): _COMPOSE,
    ("README.md", "make chaos SEED=13 MINUTES=10"): "takes ten minutes; tests/chaos runs shorter ones",
    ("README.md", "make bench"): "takes minutes; tests/bench runs its parts",
    ("README.md", "POST /v1/streams ──> gateway ──> Redis: queue ──> worker ──> your provider"): _DRAWING,
    (
        "README.md",
        "manycast key create team",
    ): "tests/manycast/command/test_key_file.py and tests/compose/public run these",
    ("docs/architecture.md", "flowchart LR"): _DRAWING,
    ("docs/architecture.md", "sequenceDiagram"): _DRAWING,
    ("docs/kubernetes.md", "for part in gateway worker web"): "needs a registry; tests/compose builds the same images",
    ("docs/kubernetes.md", "kubectl create namespace"): "needs a cluster; tests/helm checks what the chart makes",
    ("docs/operations.md", "docker compose up --wait"): _COMPOSE,
    ("docs/operations.md", "export REDIS_URL="): "tests/stack.py starts each part with these settings",
    ("docs/operations.md", "docker compose -p manycast-sentinel"): "tests/compose/test_topologies.py starts both",
    ("docs/operations.md", "min-replicas-to-write 1"): "manycast/chaos sets it for the groups that it runs on",
    ("docs/operations.md", "user gateway on"): "tests/system/test_documented_users.py starts services as these users",
    ("docs/operations.md", "user manycast on"): "tests/system/test_documented_users.py starts services as this user",
    ("docs/operations.md", "SITE_ADDRESS=chat.example.com"): "needs a public name; tests/compose/public uses localhost",
    ("docs/operations.md", "manycast up"): "tests/manycast/test_installed.py runs it",
    ("docs/operations.md", "manycast key create team"): "tests/manycast/command/test_key_file.py runs it",
    ("docs/operations.md", "2026-01-31 12:00:00,123 INFO manycast.security"): _FORMAT,
    ("docs/operations.md", "PYTHON_IMAGE=python"): "the digests are the reader's own",
    ("docs/operations.md", "[Definition]"): "tests/gateway/access/test_security_log.py applies it to real lines",
    ("docs/operations.md", "[manycast]"): "a file for fail2ban, which reads the whole machine",
    ("docs/protocol.md", "1-1"): _FORMAT,
    ("docs/protocol.md", "event: "): _FORMAT,
    ("docs/scripts.md", "MANYCAST_SCRIPTS=./scripts docker"): _COMPOSE,
    ("docs/scripts.md", "curl"): "tests/gateway/routes/test_inputs.py sends this body",
    ("docs/scripts.md", "MANYCAST_SCRIPTS=scripts"): "tests/manycast/script/test_first_script.py runs both",
    ("docs/use-it-with.md", "POST /v1/streams/{message.id}/input"): "tests/clients/ai_sdk/question.mjs sends it",
    ("docs/scale.md", "manycast size"): "tests/manycast/command/test_size.py runs it",
    ("docs/simulator.md", "python -m simulator"): "tests/simulator/process.py starts it so",
    ("docs/simulator.md", '{"model":"demo","messages":[…]'): _FORMAT,
    ("docs/simulator.md", '{"open":0,"completed":2'): _FORMAT,
    ("docs/simulator.md", '{"model": "demo", "user": "ada"'): _FORMAT,
}
"""(file, how the block begins) -> why no test runs it as it stands."""

_PAPER = re.compile(r"README\.md|docs/[^/]+\.md")
_FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?:    [^\n]*\n)+")


def unrun_blocks(tree: Tree) -> list[str]:
    """A block that no test runs and that has no reason, or a reason without its block."""
    breaches, used = [], set()
    for path, language, text in _blocks(tree):
        if (path, language) in RUN:
            continue
        begun = next((key for key in NOT_RUN if key[0] == path and text.startswith(key[1])), None)
        if begun is None:
            breaches.append(f"{path}: no test runs the block {text.splitlines()[0]!r}")
        used.add(begun)
    stale = [key for key in NOT_RUN if key not in used and key[0] in tree]
    return breaches + [f"{path}: there is no block that begins with {text!r}" for path, text in stale]


def _blocks(tree: Tree) -> Iterator[tuple[str, str, str]]:
    """File, language ("" if it is indented) and text of each block."""
    for path, paper in tree.items():
        if _PAPER.fullmatch(path):
            for language, text in _FENCED.findall(paper):
                yield path, language, text
            for block in _INDENTED.findall(_FENCED.sub("", paper)):
                yield path, "", re.sub(r"^    ", "", block, flags=re.MULTILINE)
