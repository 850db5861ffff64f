"""The list of the latest runs: for developers, and only where it is switched on."""

import httpx2

from gateway.runs.chat_request import find_question
from tests.broker import Broker
from tests.stack import Gateway, closing_all
from tests.system.conftest import Stack
from tests.viewers import question


async def test_runs_are_listed_newest_first_with_the_beginning_of_their_prompts(
    http: httpx2.AsyncClient, stack: Stack, broker: Broker
) -> None:
    gateway = Gateway(broker.url, MANYCAST_LIST_RUNS="1")
    with closing_all(gateway):
        url = f"{gateway.url}/v1/streams"
        ids = [(await http.post(url, json=question("demo-fast", text))).json()["id"] for text in ("One", "T" * 300)]
        latest = (await http.get(url, params={"limit": 2})).json()["data"]
    assert [run["id"] for run in latest] == ids[::-1]
    assert [run["prompt"] for run in latest] == ["T" * 200, "One"]
    assert latest[0]["model"] == "demo-fast"
    assert (latest[0]["viewers"], latest[0]["gateways"]) == (0, {})


async def test_runs_are_not_listed_unless_it_is_set(http: httpx2.AsyncClient, stack: Stack) -> None:
    answer = await http.get(f"{stack.gateways[0].url}/v1/streams")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "runs_not_listed"


async def test_a_limit_beyond_what_is_kept_is_refused(http: httpx2.AsyncClient, broker: Broker) -> None:
    gateway = Gateway(broker.url, MANYCAST_LIST_RUNS="1")
    with closing_all(gateway):
        answer = await http.get(f"{gateway.url}/v1/streams", params={"limit": 201})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["message"]


async def test_a_prompt_is_found_in_every_shape_and_missing_in_none() -> None:
    answered = {"role": "assistant", "content": "b"}
    assert find_question([{"role": "user", "content": "a"}, answered]) == "a"
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}]
    assert find_question([{"role": "user", "content": parts}, answered]) == "a"
    assert find_question([{"role": "system", "content": "a"}]) == ""
    assert find_question([{"role": "user"}]) == ""
