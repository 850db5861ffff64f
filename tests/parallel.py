"""Which tests run side by side under pytest-xdist (`pytest -n 4`), and in which order they start.

A test file stays in one process, so that its fixtures are made once. A suite that has one of something (Docker's
project, the browser, a core to measure on) stays in one process as a whole.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling

SERIAL_SUITES = ("tests/compose/", "tests/web/", "tests/chaos/", "tests/bench/")
"""The slowest first: the group that starts last decides when the run ends."""


def group_of(test_id: str) -> str:
    """The group of a test, given its pytest id: a serial suite, or else its file."""
    return next((suite for suite in SERIAL_SUITES if test_id.startswith(suite)), test_id.partition("::")[0])


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Gives each process whole groups, in the order in which they were collected.

    `--dist loadgroup` would do, but xdist 3.8 writes the group into an attribute that pytest 9.2 no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> GroupScheduling:
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under xdist, puts the serial suites first."""
    if hasattr(config, "workerinput"):
        order = {suite: rank for rank, suite in enumerate(SERIAL_SUITES)}
        items.sort(key=lambda item: order.get(group_of(item.nodeid), len(order)))
