"""The project's own rules: who imports outside libraries, sizes, names, and docs that match the code.

Each check is shown a small house with one fault as well, so that none of them passes because it looks at nothing.
"""

import subprocess
import sys
from collections.abc import Callable

import pytest
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.http.page_policy import DIAGRAM_POLICY, POLICY
from gateway.routes.static_page import SECURITY_HEADERS
from tests.house import blocks, imports, papers, redis_rights, shape
from tests.house.tree import ROOT, Tree, our_tree
from tests.redis_keys import CONTROL

pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="not a git checkout: nobody says which files are ours"
)


class OneSetting(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MANYCAST_")

    grace_s: float = 2.5


CHECKS_AND_FAULTS: list[tuple[Callable[[Tree], list[str]], Tree]] = [
    (imports.second_doors, {"worker/a.py": "import openai", "worker/b.py": "from openai import AsyncOpenAI"}),
    (imports.unnamed_dependencies, {"gateway/a.py": "import openai", "gateway/requirements.in": "fastapi==1\n"}),
    (imports.unnamed_dependencies, {"contract/a.py": "import redis", "gateway/requirements.in": "redis==1\n"}),
    (shape.long_functions, {"worker/a.py": "def f():\n" + "    pass\n" * 60}),
    (shape.unused_words, {"gateway/http_utils.py": ""}),
    (shape.unused_words, {"gateway/a.py": "class StreamManager: ..."}),
    (shape.scattered_environment, {"gateway/fanout/hub.py": "import os\nx = os.environ['X']"}),
    (shape.headless_lua, {"contract/lua/a.lua": "-- a: does\n-- KEYS: 1\n-- ARGV: 1\n-- Returns: 1\n-- Cost: O(1)\n"}),
    (shape.headless_lua, {"contract/lua/a.lua": "-- b: KEYS: ARGV: Returns: Errors: Cost:\n"}),
    (shape.foreign_places, {"README.md": "see https://" + "pypi" + ".org/x"}),
    (shape.foreign_places, {"README.md": f"cd {ROOT}"}),
    (shape.pretended_parts, {"tests/test_a.py": "from unittest." + "mock import patch"}),
    (blocks.unrun_blocks, {"docs/new.md": "```sh\nls\n```\n"}),
    (blocks.unrun_blocks, {"docs/new.md": "Type\n\n    ls\n"}),
    (blocks.unrun_blocks, {"docs/protocol.md": "no block\n"}),
    (papers.untold_keys, {"docs/protocol.md": f"| `{CONTROL}` | channel | x |\n"}),
    (papers.loose_pins, {"worker/requirements.in": "redis==1\n", "worker/requirements.txt": "redis==2 \\\n"}),
    (papers.loose_pins, {"worker/requirements.in": "redis==1\n", "tests/requirements.txt": "redis==2 \\\n"}),
    (papers.loose_pins, {"worker/requirements.in": "redis\n"}),
    (papers.unlocked_pins, {"tests/requirements.txt": "redis==1\n"}),
    (papers.unlocked_pins, {"tests/requirements.txt": "--index-url https://a/b\nredis==1 --hash=sha256:1\n"}),
    (papers.unlocked_pins, {"worker/requirements.txt": "redis==1 --hash=sha256:1\n"}),
    (papers.unlocked_pins, {"tests/clients/python/agents.txt": "mcp==1\n"}),
    (papers.missing_tests, {"a.md": "`tests/test_a.py::test_b`", "tests/test_a.py": "def test_bc() -> None: ..."}),
    (papers.missing_files, {"docs/a.md": "`gateway/b.py`", "gateway/a.py": ""}),
    (redis_rights.forbidden_commands, {"contract/lua/a.lua": "redis.call('GET', 'x')", "docker-compose.yml": "+set"}),
    (papers.dead_links, {"docs/a.md": "[b](../b.md)"}),
]
CHECKS = list(dict.fromkeys(check for check, _ in CHECKS_AND_FAULTS))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_our_house_has_no(check: Callable[[Tree], list[str]]) -> None:
    assert check(our_tree()) == []


@pytest.mark.parametrize(("check", "faulty"), CHECKS_AND_FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_check_finds_the_fault_of(check: Callable[[Tree], list[str]], faulty: Tree) -> None:
    assert len(check(faulty)) >= 1


def test_every_setting_is_documented_with_its_default() -> None:
    assert papers.untold_settings(our_tree(), papers.our_settings(our_tree())) == []


def test_the_example_environment_names_only_what_is_read() -> None:
    assert papers.stale_examples(our_tree(), papers.our_settings(our_tree())) == []


def test_the_page_has_the_same_policies_behind_caddy_and_behind_a_gateway() -> None:
    caddyfile = our_tree()["web/Caddyfile"]
    images, origins = "{$MANYCAST_IMAGE_HOSTS}", "{$MANYCAST_FRAME_ORIGINS}"
    for matcher, policy in (
        ("framed", POLICY.format(img_src=images, frame_ancestors=origins)),
        ("diagram", DIAGRAM_POLICY),
        ("page", POLICY.format(img_src=images, frame_ancestors="'none'")),
    ):
        assert f'header @{matcher} Content-Security-Policy "{policy}"' in caddyfile
    for name, value in SECURITY_HEADERS.items():
        assert f'{name} "{value}"' in caddyfile or f"{name} {value}\n" in caddyfile


def test_a_gateway_starts_without_the_providers_library() -> None:
    """`import openai` costs most of a second: neither the gateway nor anything it pulls in may do it."""
    probe = "import sys, gateway.__main__; sys.exit('openai' in sys.modules or 'worker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "operations",
    ["", "| `MANYCAST_GRACE_S` | 3 | s | how long |", "| `MANYCAST_GRACE_S` | 2.5 | s |\n| `MANYCAST_OLD` | 1 | s |"],
    ids=["undocumented", "another default", "stale row"],
)
def test_the_check_finds_a_setting_that_is(operations: str) -> None:
    assert len(papers.untold_settings({papers.OPERATIONS: operations}, [OneSetting])) == 1


def test_the_check_finds_an_example_that_nobody_reads() -> None:
    assert papers.stale_examples({".env.example": "# MANYCAST_OLD=1\nMANYCAST_GRACE_S=1\n"}, [OneSetting]) != []
