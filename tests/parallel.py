"""Which tests run side by side under pytest-xdist (`pytest -n 4`), and in which order they start.

A test file stays in one process, so that its fixtures are made once. A suite that has one of something (Docker's
project, the browser, a core to measure on) stays in one process as a whole.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling

SERIAL_SUITES = {
    # Together: Chromium drops the page that it is loading when a container changes the machine's network interfaces.
    "tests/compose/": "containers and browser",
    "tests/web/": "containers and browser",
    "tests/chaos/": "chaos",
    "tests/bench/": "bench",
}
"""Folder -> group. The slowest first: the group that starts last decides when the run ends."""


def group_of(test_id: str) -> str:
    """The group of a test, given its pytest id: that of its serial suite, or else its file."""
    groups = (group for folder, group in SERIAL_SUITES.items() if test_id.startswith(folder))
    return next(groups, test_id.partition("::")[0])


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Gives each process whole groups, in the order in which they were collected.

    `--dist loadgroup` would do, but xdist 3.8 writes the group into an attribute that pytest 9.2 no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> GroupScheduling:
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def put_serial_suites_first(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under xdist."""
    if hasattr(config, "workerinput"):
        order = {group: rank for rank, group in enumerate(dict.fromkeys(SERIAL_SUITES.values()))}
        items.sort(key=lambda item: order.get(group_of(item.nodeid), len(order)))
