"""The table of figures in README.md is written by a command, and its other rows and the text around it stay."""

import pytest

from bench.figures import BEGIN, COLUMNS, END, ROWS, UnmarkedError, write_table
from bench.program import ROOT

PAGE = (ROOT / "README.md").read_text()


def test_the_page_has_a_place_for_the_table_and_nothing_else_in_it() -> None:
    assert write_table(PAGE, {}) == PAGE


def test_the_page_has_every_row_and_column() -> None:
    table = PAGE.partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in lines[2:]] == [row.title for row in ROWS.values()]
    assert {line.count("|") for line in lines} == {len(COLUMNS) + 2}


def test_only_the_rows_that_were_measured_change() -> None:
    written = write_table(PAGE, {"late": {"manycast": "0.01 s", "limit": "0.02 s"}})
    changed = [pair for pair in zip(PAGE.splitlines(), written.splitlines(), strict=True) if pair[0] != pair[1]]
    assert [line for _, line in changed] == [f"| {ROWS['late'].title} | 0.01 s |  | 0.02 s | no history |"]


@pytest.mark.parametrize("text", ["", BEGIN, END, END + BEGIN, PAGE + BEGIN])
def test_a_page_without_its_marks_is_refused(text: str) -> None:
    with pytest.raises(UnmarkedError):
        write_table(text, {})
