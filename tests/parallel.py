"""Which tests run side by side under pytest-xdist (`pytest -n 4`), and in which order they start.

A test file stays in one process, so that its fixtures are made once. A suite that has one of something (Docker's
project, the browser, a core to measure on) stays in one process as a whole.
"""

import os

import pytest
from xdist.scheduler import LoadScopeScheduling

SERIAL_SUITES = {
    "tests/compose/": "containers",
    "tests/chaos/": "chaos",
    "tests/bench/": "bench",
}
"""Folder -> group. The slowest first: the group that starts last decides when the run ends."""
SHORT_SUITES = ("tests/contract/", "tests/gateway/", "tests/house/", "tests/simulator/", "tests/test_house.py")
"""Come last. The other suites often wait, for leases, say. While one of them waits, the cores must have other work; and
after short files the processes end at almost the same time."""

PATIENCE = 5
"""The nice value of the processes that do not run the slowest group. It is enough to let that one go first, and little
enough that the others go on."""


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


def order_suites(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under xdist, puts the serial suites first and the short ones last."""
    if hasattr(config, "workerinput"):
        order = {group: rank for rank, group in enumerate(dict.fromkeys(SERIAL_SUITES.values()))}
        items.sort(key=lambda item: order.get(group_of(item.nodeid), len(order) + item.nodeid.startswith(SHORT_SUITES)))


_is_patient = False


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Under xdist, lets the slowest group have the cores first."""
    global _is_patient  # noqa: PLW0603 -- once for this process: its nice value can only grow
    slowest = next(iter(SERIAL_SUITES.values()))
    if hasattr(item.config, "workerinput") and not _is_patient and group_of(item.nodeid) != slowest:
        _is_patient = True
        os.nice(PATIENCE)
