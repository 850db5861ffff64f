"""`POST /v1/chat/completions`: OpenAI's own call. docs/protocol.md, section 9, specifies it.

The call starts a run, or finds it by its Idempotency-Key, and the caller is the run's first viewer.
"""

from fastapi import FastAPI, Request
from starlette.responses import Response

from contract.position import Position
from contract.stream_log import StreamLog
from gateway.http.json_response import JsonResponse
from gateway.http.root_path import prefix_of
from gateway.routes.models import Completion, IdempotencyKey, OnDisconnect, RetryCount
from gateway.routes.openapi import SSE, START_ERRORS, document
from gateway.routes.run_answers import Opening, RunAnswers, WholeAnswer, run_headers
from gateway.runs.begin import RunStarter, parsing
from gateway.runs.chat_request import ChatCompletionRequest, parse_chat_request
from gateway.runs.read_completion import read_completion


class ChatCompletionRoutes:
    """Streamed and whole completions."""

    def __init__(self, starter: RunStarter, log: StreamLog, answers: RunAnswers) -> None:
        self._starter = starter
        self._log = log
        self._answers = answers

    def register(self, app: FastAPI) -> None:
        app.add_api_route(
            "/v1/chat/completions",
            self.complete,
            methods=["POST"],
            response_model=Completion,
            **document(
                "createChatCompletion",
                tag="openai",
                body=ChatCompletionRequest,
                errors=START_ERRORS,
                responses={200: SSE},
                passes_provider_errors=True,
            ),
        )

    async def complete(
        self,
        request: Request,
        idempotency_key: IdempotencyKey = None,
        on_disconnect: OnDisconnect = None,
        retries: RetryCount = 0,
    ) -> Response:
        """OpenAI's chat completion, streamed or whole."""
        run = await self._starter.start_watched(
            request, parsing(parse_chat_request), idempotency_key, on_disconnect, retries=retries
        )
        headers = run_headers(run.submitted, prefix_of(request))
        if run.stream:
            return await self._answers.stream(request, run, headers, Opening(run.dialect))

        async def read(end: Position) -> WholeAnswer:
            fold = await read_completion(self._log, run.stream_id, end)
            return WholeAnswer(fold.done or {}, lambda headers: JsonResponse(fold.result(), headers=headers))

        return await self._answers.whole(request, run, headers, read)
