"""A whole answer that takes long: white space keeps the connection alive until the JSON is complete.

Proxies and clients cut a connection that is silent for a while, often 60 seconds. JSON may begin with white space.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gateway.http.errors import ApiError
from gateway.server.direct_protocol import EXTENSION, DirectProtocol

logger = logging.getLogger(__name__)

Read = Callable[[], Awaitable[Response | None]]
"""Waits for the end of the run, without a limit, and returns the answer. Raises: ApiError if there is none."""


class SlowCompletion(Response):
    """Sends status 200 at once, and a space every `interval_s` until `read` returns.

    The status cannot be changed any more if the run then fails. The response is cut, so that no client takes an error
    for an answer. SDKs send a request again whose response was cut; the retry gets the status and the error of the run.
    """

    media_type = "application/json"

    def __init__(self, read: Read, headers: Mapping[str, str], interval_s: float) -> None:
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._read = read
        self._interval_s = interval_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reading = asyncio.ensure_future(self._read())
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while not reading.done():
                await send({"type": "http.response.body", "body": b" ", "more_body": True})
                await asyncio.wait([reading], timeout=self._interval_s)
            response = await reading
            assert response is not None
            await response(scope, receive, _without_start(send))
        except ApiError as error:
            logger.info("a whole answer failed with status %d after its response had begun: cut", error.status)
            await cut_connection(scope, receive)
        finally:
            reading.cancel()


def _without_start(send: Send) -> Send:
    async def send_body(message: Message) -> None:
        if message["type"] != "http.response.start":
            await send(message)

    return send_body


async def cut_connection(scope: Scope, receive: Receive) -> None:
    """Closes the connection without the end of the chunked body, so that the client notices."""
    connection: DirectProtocol | None = scope.get("extensions", {}).get(EXTENSION)
    if connection is not None:
        connection.transport.abort()
        # uvicorn logs an error if the application returns before the connection is known to be lost.
        while (await receive())["type"] != "http.disconnect":
            pass
