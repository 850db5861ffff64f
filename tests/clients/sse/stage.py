"""The scenarios: what happens to the network and the gateway while clients watch a stream."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from tests.author import Run
from tests.clients.network import Network
from tests.clients.sse.table import BAD_GATEWAY, CUTS, DRAIN, ENDED, LATE, REFUSED, UNKNOWN
from tests.stack import Gateway

WORDS = [f"word-{number}. " for number in range(8)]
TEXT = "".join(WORDS)
STEP_DEADLINE_S = 60.0
OUTAGE_S = 3.0
MANY_REQUESTS = 3
"""A client that has asked so often for a stream that does not exist will not stop."""
CANNOT_RESUME = frozenset({"curl"})


@dataclass(frozen=True)
class Seen:
    """What one client shows in one scenario. `end` is None while it watches."""

    text: str = ""
    end: str | None = None


class Board:
    """What the clients of one scenario show, by client."""

    def __init__(self, clients: Iterable[str]) -> None:
        self.seen = dict.fromkeys(clients, Seen())

    async def wait(self, is_enough: Callable[[str], bool]) -> None:
        """Until every client has ended or is far enough. Gives up after a deadline: the result shows who was not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STEP_DEADLINE_S):
                while not all(seen.end is not None or is_enough(client) for client, seen in self.seen.items()):
                    await asyncio.sleep(0.02)

    async def wait_for_word(self, word: str) -> None:
        await self.wait(lambda client: word in self.seen[client].text)

    async def wait_for_end(self) -> None:
        await self.wait(lambda _: False)


def read_line(line: str) -> tuple[str, str, Seen] | None:
    """(scenario, client, what it shows) from a line that a client prints; None for other lines."""
    try:
        said = json.loads(line)
        return said["scenario"], said["client"], Seen(said["text"], said["end"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return None


@dataclass
class Stage:
    """Where one scenario takes place. `run` is written by the scenario."""

    network: Network
    run: Run
    board: Board
    leaving: Gateway
    staying: Gateway

    async def say(self, *words: str) -> None:
        for word in words:
            await self.run.say(word)

    async def say_and_wait(self, *words: str) -> None:
        await self.say(*words)
        await self.board.wait_for_word(words[-1])


async def prepare(stage: Stage, scenario: str) -> None:
    """Before the clients come."""
    await stage.run.begin()
    before = {LATE: 4, ENDED: len(WORDS)}
    await stage.say(*WORDS[: before.get(scenario, 1)])
    if scenario == ENDED:
        await stage.run.end()
    elif scenario == CUTS:
        stage.network.cuts = (WORDS[2].strip(), WORDS[5].strip())
    elif scenario == DRAIN:
        stage.network.gateway_url = stage.leaving.url


async def join_late(stage: Stage) -> None:
    await stage.board.wait_for_word(WORDS[3])
    await stage.say_and_wait(*WORDS[4:])
    await stage.run.end()


async def cut_twice(stage: Stage) -> None:
    await stage.board.wait_for_word(WORDS[0])
    await stage.say_and_wait(*WORDS[1:4])
    await stage.say_and_wait(*WORDS[4:])
    await stage.run.end()


async def refuse(stage: Stage) -> None:
    await stage.board.wait_for_word(WORDS[0])
    await stage.say_and_wait(*WORDS[1:3])
    stage.network.close()
    await stage.say(*WORDS[3:5])
    await asyncio.sleep(OUTAGE_S)  # not to wait for something: this is the scenario
    await stage.network.open()
    await stage.say_and_wait(*WORDS[5:])
    await stage.run.end()


async def answer_502(stage: Stage) -> None:
    await stage.board.wait_for_word(WORDS[0])
    await stage.say_and_wait(*WORDS[1:3])
    network = stage.network
    before = {client: network.count(client) for client in stage.board.seen}
    network.is_gateway_dead = True
    network.cut_all()
    await stage.board.wait(lambda client: network.count(client) > before[client])
    network.is_gateway_dead = False
    await stage.say_and_wait(*WORDS[3:])
    await stage.run.end()


async def drain(stage: Stage) -> None:
    await stage.board.wait_for_word(WORDS[0])
    await stage.say_and_wait(*WORDS[1:3])
    stage.network.gateway_url = stage.staying.url
    before = {client: stage.network.count(client) for client in stage.board.seen}
    stage.leaving.process.terminate()
    # The draining gateway still sends what is said now to clients of formats that cannot resume.
    await stage.board.wait(lambda client: client in CANNOT_RESUME or stage.network.count(client) > before[client])
    await stage.say_and_wait(*WORDS[3:])
    await stage.run.end()


async def ask_in_vain(stage: Stage) -> None:
    await stage.board.wait(lambda client: stage.network.count(client) >= MANY_REQUESTS)


async def do_nothing(stage: Stage) -> None:
    """The stream has ended before the clients come."""


PLAYS: dict[str, Callable[[Stage], Awaitable[None]]] = {
    LATE: join_late,
    CUTS: cut_twice,
    REFUSED: refuse,
    BAD_GATEWAY: answer_502,
    ENDED: do_nothing,
    UNKNOWN: ask_in_vain,
    DRAIN: drain,
}
