"""Other people's clients of server-sent events, in every kind of trouble: the text comes once and in order.

All clients of a scenario watch one stream through one network, and all scenarios run at once. What a client cannot do
by itself is in the table, and asserted as exactly that.
"""

import asyncio
import shutil
from contextlib import AsyncExitStack
from functools import partial

import pytest
import pytest_asyncio

from contract.stream_id import new_stream_id
from tests.author import open_run
from tests.broker import Broker
from tests.clients.conftest import CHROMIUM
from tests.clients.network import network_to
from tests.clients.snippets import PAPER
from tests.clients.sse.firefox import find_firefox
from tests.clients.sse.stage import PLAYS, TEXT, Board, Seen, Stage, prepare
from tests.clients.sse.start import PYTHON, Watch, start_chromium, start_curl, start_firefox, start_program, write_pages
from tests.clients.sse.table import AGAIN, CLIENTS, COMPLETED, ENDED, HOME, SCENARIOS, UNKNOWN, Client, markdown
from tests.packages import install_node_packages
from tests.stack import Gateway, closing_all

Results = dict[tuple[str, str], Seen]
"""(scenario, client) -> what it showed in the end."""
KINDS = {client.key: client.runs_in for client in CLIENTS}


@pytest.fixture(scope="module")
def node() -> str:
    return install_node_packages(HOME)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def results(workerless_broker: Broker, node: str, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Everything that happened. The tests only look at it."""
    site = tmp_path_factory.mktemp("site")
    starts = {
        "chromium": start_chromium if CHROMIUM.exists() else None,
        "firefox": partial(start_firefox, binary) if (binary := find_firefox()) else None,
        "node": partial(start_program, [node, str(HOME / "node.mjs")]),
        "python": partial(start_program, PYTHON),
        "curl": partial(start_curl, binary) if (binary := shutil.which("curl")) else None,
    }
    clients = [client for client in CLIENTS if starts[client.runs_in] is not None]
    write_pages(site, [client.key for client in clients if client.runs_in in ("chromium", "firefox")], node)
    settings = {
        "MANYCAST_WEB_DIR": str(site),
        "MANYCAST_DRAIN_RETRY_WINDOW_MS": "1000",
        "MANYCAST_DRAIN_TIMEOUT_S": "60",
    }
    leaving, staying = (Gateway(workerless_broker.url, **settings) for _ in range(2))
    boards = {scenario: Board(client.key for client in clients) for scenario in SCENARIOS}
    watches: list[Watch] = []
    stages: dict[str, Stage] = {}

    def on_seen(scenario: str, client: str, seen: Seen) -> None:
        boards[scenario].seen[client] = seen

    with closing_all(leaving, staying):
        async with AsyncExitStack() as stack:
            for scenario in SCENARIOS:
                network = await stack.enter_async_context(network_to(staying.url))
                run = await stack.enter_async_context(open_run(workerless_broker.url))
                stages[scenario] = stage = Stage(network, run, boards[scenario], leaving, staying)
                await prepare(stage, scenario)
                stream_id = new_stream_id(private=False) if scenario == UNKNOWN else run.stream_id
                path = f"/v1/streams/{stream_id}"
                watches += [Watch(client.key, scenario, network.url, f"{path}/events", path) for client in clients]
            for kind, start in starts.items():
                mine = [watch for watch in watches if KINDS[watch.client] == kind]
                if start is not None:
                    await stack.enter_async_context(start(mine, on_seen))
            await asyncio.gather(*(play(stages[scenario], scenario) for scenario in SCENARIOS))
    for scenario in (UNKNOWN, ENDED):
        for client in clients:
            if stages[scenario].network.count(client.key) > 1:
                boards[scenario].seen[client.key] = Seen(boards[scenario].seen[client.key].text, AGAIN)
    return {(scenario, client): seen for scenario, board in boards.items() for client, seen in board.seen.items()}


async def play(stage: Stage, scenario: str) -> None:
    await PLAYS[scenario](stage)
    if scenario != UNKNOWN:
        await stage.board.wait_for_end()


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.key)
async def test_each_client_shows_the_text_once_and_in_order(results: Results, client: Client, scenario: str) -> None:
    seen = results.get((scenario, client.key))
    if seen is None:
        pytest.skip(f"there is no {client.runs_in} here")
    if scenario == UNKNOWN:
        assert seen.end is not None
        assert (seen.end == AGAIN) is (UNKNOWN in client.ends)
    elif scenario in client.ends:
        assert (seen.end, seen.text != TEXT, TEXT.startswith(seen.text)) == (client.ends[scenario], True, True), seen
    else:
        assert seen == Seen(TEXT, COMPLETED)


def test_the_table_in_the_docs_is_what_is_tested() -> None:
    assert markdown() in PAPER


def test_a_client_with_a_limit_says_so() -> None:
    assert [client.key for client in CLIENTS if bool(client.ends) != bool(client.limits)] == []
