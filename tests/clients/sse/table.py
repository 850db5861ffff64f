"""The clients of server-sent events that are tested, and what each of them cannot do by itself.

docs/use-it-with.md contains `markdown()`; a test compares them. Pure, except that it reads the versions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

HOME = Path(__file__).parent

LATE = "late join"
CUTS = "two cuts"
REFUSED = "refused for 3 s"
BAD_GATEWAY = "502 from a proxy"
ENDED = "after the end"
UNKNOWN = "404"
DRAIN = "drain"
SCENARIOS = (LATE, CUTS, REFUSED, BAD_GATEWAY, ENDED, UNKNOWN, DRAIN)

COMPLETED = "completed"
"""How a client ends that has shown the whole answer."""
AGAIN = "asks again"
"""How a client "ends" that asks for a stream again although it has ended or does not exist."""


@dataclass(frozen=True)
class Client:
    """A row. `package` is the npm or PyPI package that has its version; without one it is a program of Debian.

    `ends`: how the client ends, with a part of the answer, in the scenarios in which it does not come back. `limits`
    says the same for people.
    """

    key: str
    name: str
    runs_in: str
    package: str = ""
    ends: Mapping[str, str] = field(default_factory=dict)
    limits: str = ""

    @property
    def version(self) -> str:
        if not self.package:
            return "Debian 12"
        if self.runs_in == "python":
            return version(self.package)
        packages: dict[str, str] = json.loads((HOME / "package.json").read_text())["dependencies"]
        return packages[self.package]

    @property
    def tested(self) -> str:
        return ", ".join(scenario for scenario in SCENARIOS if scenario not in self.ends) if self.ends else "everything"


CLOSED_BY_STATUS = "closes for good at a status other than 200"
ERROR_BY_STATUS = "raises an error at a status other than 200"
ASKS_FOR_EVER = "keeps asking for a stream that does not exist"
ONE_RESPONSE = "reads one response; your code must ask again, with `Last-Event-ID`"
SNIPPET = "the same, as in the snippet above"
FETCH_EVENT_SOURCE = "@microsoft/fetch-event-source"


def _breaks(error: str) -> dict[str, str]:
    """For a client that ends when its connection breaks."""
    return dict.fromkeys((CUTS, REFUSED, BAD_GATEWAY), error)


CLIENTS = (
    Client(
        "eventsource-native", "`EventSource` in Chromium", "chromium", "", {BAD_GATEWAY: "closed"}, CLOSED_BY_STATUS
    ),
    Client("eventsource-snippet", SNIPPET, "chromium"),
    Client("firefox-native", "`EventSource` in Firefox", "firefox", "", {BAD_GATEWAY: "closed"}, CLOSED_BY_STATUS),
    Client("firefox-snippet", SNIPPET, "firefox"),
    Client(
        "fetch-event-source",
        FETCH_EVENT_SOURCE,
        "chromium",
        FETCH_EVENT_SOURCE,
        {DRAIN: "returned", UNKNOWN: AGAIN},
        f"takes the orderly end of a response for the end of the stream; {ASKS_FOR_EVER}",
    ),
    Client("fetch-event-source-snippet", SNIPPET, "chromium", FETCH_EVENT_SOURCE),
    Client(
        "event-source-polyfill",
        "event-source-polyfill",
        "chromium",
        "event-source-polyfill",
        {BAD_GATEWAY: "closed"},
        CLOSED_BY_STATUS,
    ),
    Client(
        "reconnecting-eventsource",
        "reconnecting-eventsource",
        "chromium",
        "reconnecting-eventsource",
        {UNKNOWN: AGAIN},
        ASKS_FOR_EVER,
    ),
    Client("sse.js", "sse.js with `autoReconnect`", "chromium", "sse.js", {UNKNOWN: AGAIN}, ASKS_FOR_EVER),
    Client("eventsource", "eventsource", "node", "eventsource", {BAD_GATEWAY: "closed"}, CLOSED_BY_STATUS),
    Client("eventsource-client", "eventsource-client", "node", "eventsource-client", {UNKNOWN: AGAIN}, ASKS_FOR_EVER),
    Client(
        "eventsource-parser",
        "eventsource-parser with `fetch`",
        "node",
        "eventsource-parser",
        {**_breaks("returned"), DRAIN: "returned"},
        ONE_RESPONSE,
    ),
    Client("launchdarkly-eventsource", "launchdarkly-eventsource", "node", "launchdarkly-eventsource"),
    Client(
        "httpx-sse",
        "httpx-sse",
        "python",
        "httpx-sse",
        {**_breaks("ReadError"), DRAIN: "returned"},
        ONE_RESPONSE,
    ),
    Client("httpx-sse-snippet", SNIPPET, "python", "httpx-sse"),
    Client(
        "sseclient-py",
        "sseclient-py with requests",
        "python",
        "sseclient-py",
        {**_breaks("ChunkedEncodingError"), DRAIN: "returned"},
        ONE_RESPONSE,
    ),
    Client(
        "aiohttp-sse-client2",
        "aiohttp-sse-client2",
        "python",
        "aiohttp-sse-client2",
        _breaks("ClientPayloadError"),
        "raises an error when its connection breaks; comes back after an orderly end",
    ),
    Client(
        "requests-sse",
        "requests-sse",
        "python",
        "requests-sse",
        {BAD_GATEWAY: "InvalidStatusCodeError"},
        ERROR_BY_STATUS,
    ),
    Client(
        "curl",
        "`curl -sN`, with `?dialect=text`",
        "curl",
        "",
        _breaks("returned"),
        "does not come back; text has no positions",
    ),
)


def markdown() -> str:
    rows = (f"| {client.name} | {client.version} | {client.tested} | {client.limits} |" for client in CLIENTS)
    return "\n".join(["| client | version | tested | limits |", "|---|---|---|---|", *rows])
