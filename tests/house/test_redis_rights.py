"""The users of Redis in the compose stack may run what their service runs."""

import re

import pytest

from contract.scripts import load_script
from tests.contract.test_scripts import COMMAND, STEPS
from tests.stack import ROOT

SCRIPTS = {
    "gateway": {
        "add_recent_run",
        "agree",
        "answer",
        "cancel",
        "copy_record",
        "count_viewers",
        "delete_run",
        "forget_chat",
        "leave",
        "note_chat",
        "read_kept",
        "read_open",
        "read_recent_runs",
        "read_offers",
        "read_prompts",
        "read_silent_workers",
        "read_viewers",
        "read_viewers_by_gateway",
        "remember_answer",
        "reserve",
        "revoke",
        "settle",
        "rights",
        "submit",
        "take_token",
    },
    "worker": {
        "agree",
        "announce",
        "append",
        "ask",
        "close_question",
        "claim",
        "finish",
        "keep_prompt",
        "forget_questions",
        "forget_worker",
        "look",
        "open_line",
        "park",
        "release",
        "renew",
        "rights",
        "ring",
        "settle",
        "take",
        "take_over",
    },
}
"""Which service runs which scripts."""


def test_each_script_belongs_to_a_service() -> None:
    assert set().union(*SCRIPTS.values()) == set(STEPS)


@pytest.mark.parametrize("service", SCRIPTS)
def test_its_user_may_run_every_command_of_its_scripts(service: str) -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    shared, own = re.search(r'shared="(.*?)"', compose, re.DOTALL), re.search(rf"user {service} (.*)", compose)
    assert shared and own
    rights = set(re.findall(r"\+(\S+)", shared[1] + " " + own[1]))
    needed = {
        "|".join(filter(None, found)).lower()
        for name in SCRIPTS[service]
        for found in re.findall(COMMAND, load_script(name).text)
    }
    assert {one for one in needed if one not in rights and one.partition("|")[0] not in rights} == set()
