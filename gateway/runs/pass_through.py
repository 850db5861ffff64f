"""Calls of OpenAI's API that pass through to the provider: embeddings, text completions, moderations.

The gateway checks of their bodies only what it relies on. The answer goes from the log to the caller as it is.
"""

from collections.abc import AsyncGenerator
from hashlib import sha256
from typing import Any, Literal

from pydantic import Field

from contract.event import Event, Kind, MalformedEventError, merge_chunk, parse_json
from contract.position import Position
from contract.stream_log import LogLostError, StreamLog
from gateway.dialects.registry import NATIVE, OPENAI, OPENAI_USAGE
from gateway.http.body import parse_object
from gateway.http.models import RequestBody, check_body
from gateway.runs.chat_request import ChatRequest, JobOptions, count_chars, encode_sent

Endpoint = Literal["embeddings", "completions", "moderations"]
PAGE_EVENTS = 16
"""How much of an answer is in memory: a piece has at most 64 KiB of text."""


class PassThroughRequest(RequestBody):
    """OpenAI's request. All fields but `manycast` go to the provider unchanged."""

    model: str | None = None
    manycast: JobOptions = Field(default_factory=JobOptions)


class TextCompletionRequest(PassThroughRequest):
    """OpenAI's older request for a completion. All fields but `manycast` go to the provider unchanged."""

    prompt: Any = None
    # OpenAI accepts null and treats it as false.
    stream: bool | None = None
    stream_options: Any = None

    @property
    def dialect(self) -> str:
        """In which it is answered."""
        if not self.stream:
            return NATIVE
        options = self.stream_options
        return OPENAI_USAGE if isinstance(options, dict) and options.get("include_usage") is True else OPENAI


def parse_pass_through(endpoint: Endpoint, body: bytes) -> ChatRequest:
    """Raises: ApiError 400 that names the field at fault."""
    fields = parse_object(body)
    is_completion = endpoint == "completions"
    request = check_body(TextCompletionRequest if is_completion else PassThroughRequest, fields)
    dialect = request.dialect if isinstance(request, TextCompletionRequest) else NATIVE
    return ChatRequest(
        request=encode_sent({name: value for name, value in fields.items() if name != "manycast"}),
        # Two endpoints may get the same body.
        digest=sha256(endpoint.encode() + b"\n" + body).hexdigest(),
        model=request.model or "",
        policy=request.manycast.policy,
        # The answer is for its caller, and there is nothing to watch.
        private=True,
        stream=dialect != NATIVE,
        dialect=dialect,
        # Embeddings and moderations take many texts, each of which the provider limits.
        prompt_chars=count_chars(fields.get("prompt")) if is_completion else 0,
        endpoint=endpoint,
    )


async def read_body_pages(log: StreamLog, stream_id: str, end: Position) -> AsyncGenerator[bytes, None]:
    """The answer of a run that did not stream, page by page. `end` is the position of its `done`.

    Raises: as `StreamLog.read_ended`.
    """
    last, shared = Position(end.epoch, 0), {}
    while last != end:
        pieces = []
        for event in await _read_page(log, stream_id, last, end):
            if event.kind is Kind.START:
                shared = parse_json(event.data)["chunk"]
            elif event.kind is Kind.CHUNK:
                pieces.append(merge_chunk(shared, parse_json(event.data))["body"])
            last = event.position
        yield "".join(pieces).encode()


async def _read_page(log: StreamLog, stream_id: str, after: Position, end: Position) -> list[Event]:
    try:
        page = await log.read_page(stream_id, after, PAGE_EVENTS)
    except MalformedEventError as error:
        raise LogLostError(str(error)) from error
    last = after
    for event in page:
        if event.position.seq != last.seq + 1 or event.position.epoch != end.epoch:
            break
        last = event.position
    if not page or last != page[-1].position:
        raise LogLostError(f"the log has a hole after {last}")
    return page
