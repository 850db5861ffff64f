"""Adds the last log lines of the containers to the report of a failed test."""

from collections.abc import Generator

import pytest

from tests.compose.stack import Stack

LINES = "60"


def last_words(stack: Stack) -> str:
    """The last lines of each container, stopped ones too."""
    try:
        return stack.compose("logs", "--no-color", "--timestamps", "--tail", LINES)
    except (AssertionError, OSError) as error:
        return f"no logs: {error}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        stacks = {value.project: value for value in item.funcargs.values() if isinstance(value, Stack)}
        report.sections += [(f"docker compose logs of {name}", last_words(stack)) for name, stack in stacks.items()]
    return report
