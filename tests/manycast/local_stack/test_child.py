"""A child is a real process: its output is read, it is stopped in time, and it dies with its parent."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from manycast.local_stack.child import LAUNCHER, Child, Program, describe_exit
from tests.manycast.command_line import is_alive, wait_until_gone

DEADLINE_S = 60.0
IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)

StartChild = Callable[..., Awaitable[Child]]


class OutputLines:
    """The lines that the children have printed, and a way to wait for one."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._changed = asyncio.Event()

    def __call__(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self._changed.set()

    async def wait_for(self, line: str) -> None:
        await self.wait_for_first(line.__eq__)

    async def wait_for_first(self, is_wanted: Callable[[str], bool]) -> str:
        """The first line that is wanted. Raises: TimeoutError."""
        async with asyncio.timeout(DEADLINE_S):
            while not (found := [line for _, line in self.lines if is_wanted(line)]):
                self._changed.clear()
                await self._changed.wait()
        return found[0]


@pytest.fixture
def output() -> OutputLines:
    return OutputLines()


@pytest.fixture
async def start(output: OutputLines) -> AsyncIterator[StartChild]:
    children = []

    async def start_child(code: str, grace_s: float = DEADLINE_S, **others: Any) -> Child:
        program = Program("part", [sys.executable, "-c", code], dict(os.environ), grace_s, **others)
        child = Child(program, output)
        await child.start()
        children.append(child)
        return child

    yield start_child
    at_once = asyncio.Event()
    at_once.set()
    for child in children:
        await child.stop(at_once)


async def test_each_line_of_both_outputs_is_passed_on_with_its_name(start: StartChild, output: OutputLines) -> None:
    child = await start("import sys; print('a'); sys.stderr.write('b\\n'); sys.stdout.flush(); sys.stderr.write('ü')")
    assert await child.wait() == 0
    assert sorted(output.lines) == [("part", "a"), ("part", "b"), ("part", "ü")]


async def test_a_line_without_end_is_given_in_pieces_and_not_gathered_forever(
    start: StartChild, output: OutputLines
) -> None:
    child = await start("print('x' * 1_000_000)")
    assert await child.wait() == 0
    assert sum(len(line) for _, line in output.lines) == 1_000_000 and len(output.lines) > 1


async def test_its_standard_input_is_what_it_is_fed(start: StartChild, output: OutputLines) -> None:
    child = await start("import sys; print(sys.stdin.read())", feed=b"secret")
    assert await child.wait() == 0
    assert output.lines == [("part", "secret")]


async def test_a_child_ends_when_it_is_asked(start: StartChild, output: OutputLines) -> None:
    child = await start("import time; print('up', flush=True); time.sleep(600)")
    await output.wait_for("up")
    await child.stop(asyncio.Event())
    assert await child.wait() == -signal.SIGTERM


async def test_a_child_that_ignores_the_signal_is_killed_after_its_grace(
    start: StartChild, output: OutputLines
) -> None:
    child = await start(IGNORES_SIGTERM, grace_s=0.1)
    await output.wait_for("deaf")
    await child.stop(asyncio.Event())
    assert await child.wait() == -signal.SIGKILL


async def test_a_second_stop_ends_the_grace_at_once(start: StartChild, output: OutputLines) -> None:
    child = await start(IGNORES_SIGTERM, grace_s=600)
    await output.wait_for("deaf")
    hurry = asyncio.Event()
    stopping = asyncio.create_task(child.stop(hurry))
    hurry.set()
    async with asyncio.timeout(DEADLINE_S):
        await stopping


async def test_what_a_child_has_started_is_killed_with_it(start: StartChild, output: OutputLines) -> None:
    starting = f"p = subprocess.Popen([sys.executable, '-c', {IGNORES_SIGTERM!r}])"
    code = f"import subprocess, sys; {starting}; print(p.pid, flush=True); p.wait()"
    child = await start(code, grace_s=0.1)
    await output.wait_for("deaf")
    # The two processes print in any order.
    grandchild = int(await output.wait_for_first(str.isdigit))
    await child.stop(asyncio.Event())
    wait_until_gone([grandchild])


async def test_stopping_what_has_ended_already_is_no_error(start: StartChild) -> None:
    child = await start("")
    await child.wait()
    await child.stop(asyncio.Event())


async def test_ctrl_c_in_the_terminal_does_not_reach_a_child(start: StartChild, output: OutputLines) -> None:
    child = await start("import os; print(os.getsid(0) == os.getpid())")
    await child.wait()
    assert output.lines == [("part", "True")]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
async def test_a_child_dies_with_its_parent_even_by_sigkill() -> None:
    starter = f"""
import os, signal, subprocess, sys, time
tied = [sys.executable, {str(LAUNCHER)!r}, str(os.getpid()), str(int(signal.SIGKILL))]
command = [*tied, sys.executable, "-c", {IGNORES_SIGTERM!r}]
child = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
    argv = [sys.executable, "-c", starter]
    parent = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child_pid = int(await parent.stdout.readline())
    assert is_alive(child_pid)
    parent.kill()
    await parent.wait()
    wait_until_gone([child_pid])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_a_child_whose_parent_died_before_it_was_tied_does_not_start() -> None:
    program = [sys.executable, "-c", "print('started')"]
    not_the_parent = "1"
    done = subprocess.run(
        [sys.executable, LAUNCHER, not_the_parent, "9", *program], check=False, stdout=subprocess.PIPE
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_how_a_child_ended_is_told_in_words() -> None:
    assert describe_exit(3) == "exit status 3"
    assert describe_exit(-9) == "killed by SIGKILL"
