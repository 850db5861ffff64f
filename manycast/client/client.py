"""The Python client: submit a run, watch it from anywhere, stop it.

    async with Client("http://127.0.0.1:8000") as client:
        stream = await client.submit({"messages": [{"role": "user", "content": "Hello"}]})
        async for event in client.watch(stream.id):
            ...

It prints nothing; `manycast.command` does.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

from contract.position import Position
from contract.sse import FrameReader, FrameTooLongError
from manycast.client.address import DEFAULT_BASE_URL, parse_address, with_scheme
from manycast.client.errors import (
    ConnectionLostError,
    NothingMoreError,
    NotManycastError,
    RefusedError,
    StreamNotFoundError,
    UnreachableError,
)
from manycast.client.event import Done, Event, EventReader, MalformedFrameError, Reconnecting
from manycast.client.reconnect_delay import ReconnectDelay
from manycast.client.transport import Transport

STALL_LIMIT_S = 45.0
"""Three ping intervals: a connection that is silent for longer is dead, even if the kernel does not know it."""
PATIENCE_S = 300.0
DEFAULT_RETRY_MS = 1000
SUBMIT_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Stream:
    """An accepted run. `page_url` is its watch page; `urls` are those of the server's response.

    `tickets` holds `control`, which can stop the run and make tickets, and for a private run `view`, as in `page_url`.
    """

    id: str
    status: str
    page_url: str
    urls: Mapping[str, str]
    tickets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Model:
    """An available model and its owner."""

    id: str
    owned_by: str


class Client:
    """One server. Open it with `async with`; every method may be called from any task of that event loop.

    Without a scheme, `base_url` means HTTP on this computer and in private networks, and HTTPS elsewhere.
    `api_key` is the server's, not the provider's. Every request carries it and `headers`. `patience_s` limits how long
    `watch` waits for a server that has gone away.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        stall_limit_s: float = STALL_LIMIT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Raises: UnreachableError if `base_url` is no HTTP address."""
        self._transport = Transport(with_scheme(base_url), {**bearer(api_key), **(headers or {})}, stall_limit_s)
        self._patience_s = patience_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    @property
    def base_url(self) -> str:
        return self._transport.base_url

    async def submit(
        self, body: Mapping[str, Any], idempotency_key: str | None = None, *, private: bool = False
    ) -> Stream:
        """Starts a run. `body` is a chat-completions request of OpenAI's API. Viewers of a private run need a ticket.

        If the response is lost, it repeats the request with the same key, so that there is never a second run.

        Raises: UnreachableError, ConnectionLostError (more than once), RefusedError (no key, too many requests, queue
            full, malformed body), NotManycastError.
        """
        if private:
            body = {**body, "manycast": {**body.get("manycast", {}), "visibility": "private"}}
        content = json.dumps(body).encode()
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        patience = ReconnectDelay(self._patience_s)
        while True:
            try:
                answer = await self._transport.call("POST", "/v1/streams", content, headers)
            except ConnectionLostError as error:
                delay_s = patience.next_delay_s(error.retry_after_s)
                if delay_s is None or patience.failures >= SUBMIT_ATTEMPTS:
                    raise
                await asyncio.sleep(delay_s)
            else:
                return self._read_stream(answer)

    async def cancel(self, stream: Stream) -> str:
        """Stops a run that this client started; repeating it is harmless. Returns a final status or `cancelling`."""
        path = f"/v1/streams/{stream.id}/cancel"
        answer = await self._transport.call("POST", path, headers=bearer(stream.tickets.get("control")))
        return str(answer["status"])

    async def answer(self, stream: Stream, question_id: str, value: Any) -> None:
        """Answers a question of a script that this client started: see the event `Input`.

        Raises: RefusedError if the value does not fit, or somebody else has answered; and as `cancel`.
        """
        body = json.dumps({"id": question_id, "value": value}).encode()
        headers = bearer(stream.tickets.get("control"))
        await self._transport.call("POST", f"/v1/streams/{stream.id}/input", body, headers)

    async def last_position(self, stream_id: str, *, ticket: str | None = None) -> Position:
        """The position of a stream's last event so far. Raises: StreamNotFoundError, and as `cancel`."""
        try:
            answer = await self._transport.call("GET", f"/v1/streams/{stream_id}", headers=bearer(ticket))
            return Position.parse(answer["position"])
        except RefusedError as error:
            raise (StreamNotFoundError(stream_id) if error.status == 404 else error) from None
        except (KeyError, TypeError, ValueError) as error:
            raise NotManycastError(self.base_url, f"the status of {stream_id} has no position") from error

    async def models(self) -> list[Model]:
        """The models that live workers offer."""
        answer = await self._transport.call("GET", "/v1/models")
        return [Model(str(entry["id"]), str(entry.get("owned_by", ""))) for entry in answer.get("data") or ()]

    async def readiness(self) -> dict[str, Any]:
        """The response of `/readyz`: `ready`, `redis`, the number of live `workers`, `draining`."""
        return await self._transport.probe("/readyz")

    async def admission(self) -> dict[str, Any]:
        """This client's rights: `caller` (a name or None), `may_start`, `message` (why not). Raises: as `cancel`."""
        return await self._transport.call("GET", "/v1/session")

    async def server_state(self) -> dict[str, Any]:
        """What the server runs on: `broker` and `workers`. Raises: as `cancel`."""
        return await self._transport.call("GET", "/v1/server")

    async def watch(self, stream_id: str, *, ticket: str | None = None) -> AsyncGenerator[Event, None]:
        """Every event of a stream, once and in order, up to its `Done`. Reconnects by itself.

        Close the generator (`contextlib.aclosing`) where the loop may end early: it holds a connection.

        Raises: UnreachableError, StreamNotFoundError, RefusedError, NotManycastError.
        """
        reader = EventReader()
        patience = ReconnectDelay(self._patience_s)
        was_there = False
        while True:
            frames = FrameReader()
            lost: UnreachableError | ConnectionLostError | None = None
            try:
                async with aclosing(self._read_response(stream_id, ticket, reader, frames)) as events:
                    async for event in events:
                        was_there = True
                        patience.restore()
                        yield event
                        if isinstance(event, Done):
                            return
            except NothingMoreError:
                return
            except (UnreachableError, ConnectionLostError) as error:
                if isinstance(error, UnreachableError) and not was_there:
                    raise
                lost = error
            again = self._plan_return(lost, frames, patience)
            yield again
            await asyncio.sleep(again.delay_s)

    async def _read_response(
        self, stream_id: str, ticket: str | None, reader: EventReader, frames: FrameReader
    ) -> AsyncGenerator[Event, None]:
        """The events of one response, from the position of `reader` on."""
        last_event_id = None if reader.position is None else str(reader.position)
        try:
            path = f"/v1/streams/{stream_id}/events"
            async with self._transport.open_events(path, last_event_id, bearer(ticket)) as pieces:
                async for piece in pieces:
                    for frame in frames.feed(piece):
                        if (event := reader.read(frame)) is not None:
                            yield event
        except RefusedError as error:
            raise (StreamNotFoundError(stream_id) if error.status == 404 else error) from None
        except (MalformedFrameError, FrameTooLongError) as error:
            raise NotManycastError(self.base_url, str(error)) from error

    def _plan_return(
        self, lost: UnreachableError | ConnectionLostError | None, frames: FrameReader, patience: ReconnectDelay
    ) -> Reconnecting:
        if lost is None:
            # The response ended cleanly before `done`: this gateway is draining, and `retry:` says when to reconnect.
            retry_ms = DEFAULT_RETRY_MS if frames.retry_ms is None else frames.retry_ms
            return Reconnecting("the server ended the response", retry_ms / 1000, 0)
        wished_s = lost.retry_after_s if isinstance(lost, ConnectionLostError) else None
        delay_s = patience.next_delay_s(wished_s)
        if delay_s is None:
            raise UnreachableError(self.base_url, lost.reason) from lost
        return Reconnecting(lost.reason, delay_s, patience.failures)

    def _read_stream(self, answer: Mapping[str, Any]) -> Stream:
        try:
            urls = answer["urls"]
            page_url = urljoin(self.base_url, urls["page"])
            return Stream(answer["id"], answer["status"], page_url, urls, answer.get("tickets") or {})
        except (KeyError, TypeError) as error:
            raise NotManycastError(self.base_url, f"its response lacks {error}") from error


async def watch(
    url_or_id: str, base_url: str = DEFAULT_BASE_URL, *, ticket: str | None = None
) -> AsyncGenerator[Event, None]:
    """`Client.watch` for the address of a stream: a URL of the API, the link of a watch page, or an id.

    A `ticket` is only needed where the address carries none. Raises: MalformedAddressError, and what `Client.watch`
    raises.
    """
    address = parse_address(url_or_id, base_url)
    async with (
        Client(address.base_url) as client,
        aclosing(client.watch(address.stream_id, ticket=ticket or address.ticket)) as events,
    ):
        async for event in events:
            yield event


def bearer(token: str | None) -> dict[str, str]:
    """The header with an API key or a ticket; empty without one."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}
