"""Turns a request body into a response: finds the model, applies its refusals, and counts. No sockets."""

import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from simulator.bill import Bill
from simulator.catalogue import CATALOGUE, Model
from simulator.chat_request import ChatRequest, read_chat_request
from simulator.envelope import Envelope, Usage
from simulator.errors import Refused, unknown_model
from simulator.exchange import Exchange
from simulator.hold import Holds
from simulator.pace import Pace
from simulator.performance import Hold, Performance
from simulator.refusals import Refusals
from simulator.tally import Ending, Tally
from simulator.text_completion import TextEnvelope, read_text_request
from simulator.vectors import (
    EmbeddingsEnvelope,
    ModerationEnvelope,
    only_faults,
    read_embeddings_request,
    read_moderation_request,
)


class Asked(NamedTuple):
    """A request. `envelope` encodes the answer, which is no text unless `has_text`."""

    chat: ChatRequest
    envelope: Callable[..., Envelope]
    has_text: bool = True


class Provider:
    """One per process. Keeps the counts, and remembers refused requests."""

    def __init__(self, pace: Pace, bill: Bill) -> None:
        self.tally = Tally()
        self.holds = Holds()
        self._pace = pace
        self._bill = bill
        self._refusals = Refusals()

    def complete(self, body: bytes) -> Exchange:
        """A chat completion. Raises: Refused; it is then already counted."""
        return self._answer(body, lambda: Asked(read_chat_request(body), Envelope))

    def complete_text(self, body: bytes) -> Exchange:
        """A text completion. Raises: Refused; it is then already counted."""
        return self._answer(body, lambda: Asked(read_text_request(body), TextEnvelope))

    def embed(self, body: bytes) -> Exchange:
        """Embeddings. Raises: Refused; it is then already counted."""

        def read() -> Asked:
            asked = read_embeddings_request(body)
            return Asked(asked.chat, partial(EmbeddingsEnvelope, asked=asked), has_text=False)

        return self._answer(body, read)

    def moderate(self, body: bytes) -> Exchange:
        """A moderation. Raises: Refused; it is then already counted."""

        def read() -> Asked:
            asked = read_moderation_request(body)
            return Asked(asked.chat, partial(ModerationEnvelope, asked=asked), has_text=False)

        return self._answer(body, read)

    def _answer(self, body: bytes, read: Callable[[], Asked]) -> Exchange:
        known: str | None = None
        try:
            asked = read()
            request = asked.chat
            model = find_model(request.model)
            known = model.name
            self._refuse_if_due(model, request, body)
            performance = self._prepare(model, asked)
        except Refused:
            self.tally.begin(known)
            self.tally.end(known, Ending.REFUSED)
            raise
        is_streamed = asked.has_text and (request.stream or model.streams_only)
        play = performance.stream if is_streamed else performance.answer_whole
        self.tally.begin(known)
        return Exchange(play, partial(self._note_ending, known, request.user, body))

    def _refuse_if_due(self, model: Model, request: ChatRequest, body: bytes) -> None:
        if model.refusal is None or (model.takes_not and not _has_field(request, model.takes_not)):
            return
        failures = model.failures if request.knobs.failures is None else request.knobs.failures
        if failures is None or self._refusals.refuse(body, failures):
            raise Refused(model.refusal)

    def _prepare(self, model: Model, asked: Asked) -> Performance:
        request = asked.chat
        usage = Usage(request.prompt_tokens)
        name = f"chatcmpl-{secrets.token_urlsafe(22)[:29]}"
        envelope = asked.envelope(name, int(time.time()), model.name, request.include_usage, usage)
        pace = request.knobs.turn(model.pace or self._pace)
        headers = {"openai-version": "2020-10-01", "x-request-id": f"req_{secrets.token_hex(16)}"}
        script = model.play(request) if asked.has_text else only_faults(model.play(request))
        after = request.knobs.hold_after
        hold = None if after is None else Hold(after, self.holds.begin())
        return Performance(script, envelope, pace, request.knobs.seed, headers, hold)

    def _note_ending(self, model: str, user: str | None, body: bytes, played: bool) -> None:
        ending = Ending.COMPLETED if played else Ending.ABORTED
        self.tally.end(model, ending)
        self._bill.add(model, user, ending, body)


def _has_field(request: ChatRequest, name: str) -> bool:
    return request.stream if name == "stream" else request.has_stream_options


def find_model(name: str) -> Model:
    """Raises: Refused 404."""
    model = CATALOGUE.get(name)
    if model is None:
        raise unknown_model(name)
    return model
