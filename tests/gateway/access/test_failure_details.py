"""What a provider said about a failure may name its account and hosts: only the owner and the operator read it."""

from typing import Any

import httpx2

from contract.errors import RunError
from contract.event import Kind, Status
from tests.author import Author
from tests.gateway.access.conftest import BODY
from tests.gateway.access.test_tickets import ask_ticket, start
from tests.gateway.fanout.recording import done

WORDS = "Incorrect API key sk-abc. See https://platform.openai.com/account/api-keys."
ERROR = RunError("invalid_api_key", WORDS, "authentication_error", "key-param", http_status=401)
FAILED = done("failed", ERROR)
STEP_FAILED = ("1-1", Kind.STEP, {"id": "1", "state": "end", "ms": 1, "message": None, "error": ERROR.as_json()})
DIALECTS = ("native", "openai", "text", "ui")


async def read_everything(http: httpx2.AsyncClient, stream_id: str, **how: Any) -> list[str]:
    """What every call says about a failed run."""
    path = f"/v1/streams/{stream_id}"
    paths = [path, f"{path}/completion", *(f"{path}/events?dialect={name}" for name in DIALECTS)]
    return [(await http.get(each, **how)).text for each in (*paths, f"/v1/events?stream={stream_id}")]


async def fail(author: Author, run: dict[str, Any]) -> None:
    taken = await author.take(run["id"])
    await taken.write([STEP_FAILED, FAILED], Status.FAILED)


async def test_only_the_owner_reads_what_the_provider_said(
    http: httpx2.AsyncClient, key: dict[str, str], other_key: dict[str, str], author: Author
) -> None:
    run = await start(http, key, BODY)
    control = {"X-Stream-Ticket": run["tickets"]["control"]}
    view = {"X-Stream-Ticket": await ask_ticket(http, run, key)}
    await fail(author, run)
    for headers in (key, control):
        assert [text for text in await read_everything(http, run["id"], headers=headers) if WORDS not in text] == []
    for headers in ({}, other_key, view, {"X-Stream-Ticket": "eyJ.broken.ticket"}):
        texts = await read_everything(http, run["id"], headers=headers)
        assert [text for text in texts if WORDS in text or "key-param" in text] == []
        assert [text for text in texts if "The provider refused the request." not in text] == []
        assert all("invalid_api_key" in text for text in texts[:4])


async def test_the_operator_of_this_machine_reads_it(local_http: httpx2.AsyncClient, author: Author) -> None:
    run = await start(local_http, {}, BODY)
    await fail(author, run)
    for headers in ({}, {"User-Agent": "Mozilla/5.0", "Sec-Fetch-Site": "same-origin"}):
        assert [
            text for text in await read_everything(local_http, run["id"], headers=headers) if WORDS not in text
        ] == []
