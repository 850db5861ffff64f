"""`manycast size` in a process of its own."""

import pytest

from tests.manycast.command_line import run


def test_it_prints_every_part_and_the_bottleneck() -> None:
    told = run("size", "--viewers", "1e6", "--streams", "5e4", "--chunks-per-s", "40", "--answer-kb", "8")
    assert told.returncode == 0, told.stderr
    parts = ("gateways", "workers", "Redis primaries")
    assert [line.split("  ")[0].strip() for line in told.stdout.splitlines() if line.startswith(parts)] == [*parts]
    assert "The bottleneck is the memory of Redis" in told.stdout
    assert "a Redis Cluster with" in told.stdout


def test_a_small_load_needs_one_of_each() -> None:
    told = run("size", "--viewers", "100", "--streams", "20", "--retention-s", "600")
    assert "It needs one Redis" in told.stdout


@pytest.mark.parametrize(
    "wrong",
    [("--viewers", "0"), ("--streams", "-1"), ("--chunks-per-s", "0"), ("--viewers", "many"), ("--answer-kb", "nan")],
)
def test_it_refuses_numbers_that_mean_nothing(wrong: tuple[str, str]) -> None:
    given = {"--viewers": "10", "--streams": "10", **dict([wrong])}
    told = run("size", *(word for pair in given.items() for word in pair))
    assert told.returncode == 2
    assert wrong[0] in told.stderr


def test_it_demands_viewers_and_streams() -> None:
    assert "--viewers" in run("size", "--streams", "10").stderr
