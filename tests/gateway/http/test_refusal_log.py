"""A Redis that refuses what every request needs fills no disk."""

import asyncio

from gateway.http.refusal_log import OTHERS, REASONS_LIMIT, RefusalLog
from tests.viewers import until


class Lines:
    """What was logged."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def write(self, text: str, *values: object) -> None:
        self.texts.append(text % values)


async def test_a_reason_is_told_once_and_then_how_often_it_came_again() -> None:
    lines = Lines()
    log = RefusalLog(0.05, lines.write)
    for _ in range(1000):
        log.note("no right to ZADD")
    log.note("no memory")
    assert lines.texts == ["Redis refuses a command: no right to ZADD", "Redis refuses a command: no memory"]
    await until(lambda: len(lines.texts) == 3)
    assert lines.texts[2] == "Redis has refused 999 more commands in 0.05 s: no right to ZADD"


async def test_a_reason_that_stayed_away_for_a_while_is_told_again_at_once() -> None:
    lines = Lines()
    log = RefusalLog(0.01, lines.write)
    log.note("no memory")
    # This look comes after the one that the log has planned before it.
    looked = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, looked.set)
    await looked.wait()
    log.note("no memory")
    assert lines.texts == ["Redis refuses a command: no memory"] * 2


async def test_many_reasons_are_told_together() -> None:
    lines = Lines()
    log = RefusalLog(60, lines.write)
    for number in range(3 * REASONS_LIMIT):
        log.note(f"reason {number}")
    assert len(lines.texts) == REASONS_LIMIT + 1
    assert lines.texts[-1] == f"Redis refuses a command: {OTHERS}"
