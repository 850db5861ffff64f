"""`POST /v1/streams/{id}/input`: whose answer counts, and what is no answer."""

import httpx2
import pytest

from contract.connection import Client
from contract.job_queue import Lease
from contract.questions import Questions
from tests.author import Author, Run
from tests.gateway.routes.test_chat_completions import BODY

QUESTION = {"id": "2", "state": "asked", "question": "Sure?", "choices": ["yes", "no"], "schema": None}


@pytest.fixture
async def asking(http: httpx2.AsyncClient, author: Author, client: Client) -> Run:
    """A run that has asked a question."""
    (await http.post("/v1/streams", json={**BODY, "model": "script/quiz"})).raise_for_status()
    run = await author.take()
    await Questions(client).ask(run.stream_id, run.claim.epoch, QUESTION, "")
    return run


async def answer(http: httpx2.AsyncClient, run: Run, **body: object) -> tuple[int, str]:
    """The status, and the code of the error or the value."""
    response = await http.post(f"/v1/streams/{run.stream_id}/input", json=body)
    given = response.json()
    return response.status_code, given["error"]["code"] if "error" in given else given["value"]


async def test_the_first_answer_counts(http: httpx2.AsyncClient, asking: Run) -> None:
    assert await answer(http, asking, id="2", value="yes") == (200, "yes")
    assert await answer(http, asking, id="2", value="yes") == (200, "yes")
    assert await answer(http, asking, id="2", value="no") == (409, "already_answered")


async def test_what_does_not_fit_is_asked_for_again(http: httpx2.AsyncClient, asking: Run) -> None:
    assert await answer(http, asking, id="2", value="maybe") == (422, "invalid_input")
    assert await answer(http, asking, id="2", value="no") == (200, "no")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"id": "3", "value": "yes"}, (404, "no_such_question")),
        ({"value": "yes"}, (400, "invalid_value")),
        ({"id": "2"}, (400, "missing_required_parameter")),
        ({"id": 2, "value": "yes"}, (400, "invalid_value")),
        ({"id": "2", "value": "yes", "other": 1}, (400, "unknown_parameter")),
    ],
)
async def test_a_bad_answer_is_refused_by_name(
    http: httpx2.AsyncClient, asking: Run, body: dict[str, object], error: tuple[int, str]
) -> None:
    assert await answer(http, asking, **body) == error


async def test_a_run_that_has_ended_takes_no_answer(http: httpx2.AsyncClient, asking: Run) -> None:
    await asking.begin()
    await asking.end()
    assert await answer(http, asking, id="2", value="yes") == (409, "run_ended")


async def test_an_answer_after_the_time_of_the_question_is_refused(
    http: httpx2.AsyncClient, asking: Run, client: Client
) -> None:
    await Questions(client).close(asking.stream_id, asking.claim.epoch, "2")
    assert await answer(http, asking, id="2", value="yes") == (409, "answer_too_late")


async def test_a_page_of_another_site_cannot_answer(http: httpx2.AsyncClient, asking: Run) -> None:
    headers = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}
    url = f"/v1/streams/{asking.stream_id}/input"
    response = await http.post(url, json={"id": "2", "value": "yes"}, headers=headers)
    assert response.status_code == 403


async def test_a_private_stream_takes_answers_with_a_control_ticket_only(
    http: httpx2.AsyncClient, author: Author, client: Client
) -> None:
    body = {**BODY, "model": "script/quiz", "manycast": {"visibility": "private"}}
    browser = {"User-Agent": "Mozilla/5.0", "Sec-Fetch-Site": "same-origin"}
    started = (await http.post("/v1/streams", json=body)).json()
    run = await author.take()
    await Questions(client).ask(run.stream_id, run.claim.epoch, QUESTION, "")
    url = f"/v1/streams/{run.stream_id}/input"
    given = {"id": "2", "value": "yes"}
    statuses = []
    for ticket in ("", started["tickets"]["view"], started["tickets"]["control"]):
        response = await http.post(url, json=given, headers={**browser, "X-Stream-Ticket": ticket})
        statuses.append(response.status_code)
    assert statuses == [403, 403, 200]


async def test_a_parked_run_says_that_it_waits(http: httpx2.AsyncClient, asking: Run, client: Client) -> None:
    await Questions(client).park(Lease(asking.job, asking.claim.epoch), 600_000, 0, ["2"])
    assert (await http.get(f"/v1/streams/{asking.stream_id}")).json()["status"] == "parked"
    async with http.stream("GET", f"/v1/streams/{asking.stream_id}/events") as response:
        lines = response.aiter_lines()
        while not (line := await anext(lines)).startswith("data: "):
            pass
    assert line == 'data: {"state":"parked"}'
