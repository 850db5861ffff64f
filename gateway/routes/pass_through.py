"""`POST /v1/embeddings`, `/v1/completions` and `/v1/moderations`: calls that pass through to the provider.

docs/protocol.md, section 12, specifies them.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.position import Position
from contract.run_record import read_run
from contract.stream_log import LogLostError, StreamLog
from gateway.routes.models import IdempotencyKey, OnDisconnect, PassedThrough, RetryCount
from gateway.routes.openapi import SSE, START_ERRORS, document
from gateway.routes.run_answers import Opening, RunAnswers, WholeAnswer, id_headers
from gateway.routes.slow_completion import cut_connection
from gateway.runs.begin import RunStarter, parsing
from gateway.runs.pass_through import (
    Endpoint,
    PassThroughRequest,
    TextCompletionRequest,
    parse_pass_through,
    read_body_pages,
)

logger = logging.getLogger(__name__)


class PassThroughRoutes:
    """The calls, each of which is a run that only its caller reads."""

    def __init__(self, client: Client, log: StreamLog, starter: RunStarter, answers: RunAnswers) -> None:
        self._client = client
        self._log = log
        self._starter = starter
        self._answers = answers

    def register(self, app: FastAPI) -> None:
        self._register(app, "embeddings", "createEmbedding", self.embed, PassThroughRequest)
        self._register(app, "completions", "createCompletion", self.complete_text, TextCompletionRequest)
        self._register(app, "moderations", "createModeration", self.moderate, PassThroughRequest)

    @staticmethod
    def _register(
        app: FastAPI,
        endpoint: Endpoint,
        operation_id: str,
        call: Callable[..., Awaitable[Response]],
        body: type[PassThroughRequest],
    ) -> None:
        app.add_api_route(
            f"/v1/{endpoint}",
            call,
            methods=["POST"],
            response_model=PassedThrough,
            **document(
                operation_id,
                tag="openai",
                body=body,
                errors=START_ERRORS,
                responses={200: SSE} if body is TextCompletionRequest else None,
                passes_provider_errors=True,
            ),
        )

    async def embed(
        self,
        request: Request,
        idempotency_key: IdempotencyKey = None,
        on_disconnect: OnDisconnect = None,
        retries: RetryCount = 0,
    ) -> Response:
        """OpenAI's embeddings, from the provider."""
        return await self._pass("embeddings", request, idempotency_key, on_disconnect, retries)

    async def complete_text(
        self,
        request: Request,
        idempotency_key: IdempotencyKey = None,
        on_disconnect: OnDisconnect = None,
        retries: RetryCount = 0,
    ) -> Response:
        """OpenAI's older text completion, streamed or whole, from the provider."""
        return await self._pass("completions", request, idempotency_key, on_disconnect, retries)

    async def moderate(
        self,
        request: Request,
        idempotency_key: IdempotencyKey = None,
        on_disconnect: OnDisconnect = None,
        retries: RetryCount = 0,
    ) -> Response:
        """OpenAI's moderation, from the provider."""
        return await self._pass("moderations", request, idempotency_key, on_disconnect, retries)

    async def _pass(
        self, endpoint: Endpoint, request: Request, key: str | None, on_disconnect: str | None, retries: int
    ) -> Response:
        parse = parsing(partial(parse_pass_through, endpoint))
        run = await self._starter.start_watched(request, parse, key, on_disconnect, retries=retries)
        headers = id_headers(run.submitted)
        if run.stream:
            return await self._answers.stream(request, run, headers, Opening(run.dialect))
        return await self._answers.whole(request, run, headers, partial(self._read, run.stream_id))

    async def _read(self, stream_id: str, end: Position) -> WholeAnswer:
        record = await read_run(self._client, stream_id)
        if record is None:
            raise LogLostError("the run has expired")
        pages = read_body_pages(self._log, stream_id, end)
        # Read the first page before the status is sent.
        first = await anext(pages)
        return WholeAnswer(record.done or {}, partial(_PassedResponse, first, pages, stream_id))


class _PassedResponse(Response):
    """Sends an answer as it is read from the log. If Redis fails meanwhile, the connection is cut: a retry gets all."""

    media_type = "application/json"

    def __init__(
        self, first: bytes, rest: AsyncGenerator[bytes, None], stream_id: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._first = first
        self._rest = rest
        self._stream_id = stream_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async with aclosing(self._rest) as rest:
                await send({"type": "http.response.body", "body": self._first, "more_body": True})
                async for page in rest:
                    await send({"type": "http.response.body", "body": page, "more_body": True})
        except (BrokerUnavailableError, BrokerRefusedError, LogLostError) as error:
            logger.warning("stream %s: its answer cannot be read, the response is cut: %s", self._stream_id, error)
            await cut_connection(scope, receive)
            return
        await send({"type": "http.response.body", "body": b""})
