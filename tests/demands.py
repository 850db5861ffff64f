"""With `MANYCAST_REQUIRE=all` a skipped test is a failure, so that CI is not green because it lacks a browser.

Without it, a suite whose program is missing (Docker, Chromium, Redis) is skipped, and the summary says why.
"""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

ReportT = TypeVar("ReportT", pytest.TestReport, pytest.CollectReport)


def _demand(report: ReportT) -> ReportT:
    if os.environ.get("MANYCAST_REQUIRE") == "all" and report.skipped and not hasattr(report, "wasxfail"):
        _, _, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, str(report.longrepr))
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: demanded by MANYCAST_REQUIRE=all, but {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _demand((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _demand((yield))
