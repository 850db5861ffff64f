"""Turns a request body into a response: finds the model, applies its refusals, and counts. No sockets."""

import secrets
import time
from collections.abc import Callable

from simulator.catalogue import CATALOGUE, Model
from simulator.chat_request import ChatRequest, read_chat_request
from simulator.envelope import Envelope, Usage
from simulator.errors import Refused, unknown_model
from simulator.exchange import Exchange
from simulator.pace import Pace
from simulator.performance import Performance
from simulator.refusals import Refusals
from simulator.tally import Ending, Tally


class Provider:
    """One per process. Keeps the counts, and remembers refused requests."""

    def __init__(self, pace: Pace) -> None:
        self.tally = Tally()
        self._pace = pace
        self._refusals = Refusals()

    def answer(self, body: bytes) -> Exchange:
        """Raises: Refused; it is then already counted."""
        known: str | None = None
        try:
            request = read_chat_request(body)
            model = find_model(request.model)
            known = model.name
            self._refuse_if_due(model, request, body)
            performance = self._prepare(model, request)
        except Refused:
            self.tally.begin(known)
            self.tally.end(known, Ending.REFUSED)
            raise
        play = performance.stream if request.stream or model.streams_only else performance.answer_whole
        self.tally.begin(known)
        return Exchange(play, self._count_ending(known))

    def _refuse_if_due(self, model: Model, request: ChatRequest, body: bytes) -> None:
        if model.refusal is None or (model.takes_not and not _has_field(request, model.takes_not)):
            return
        failures = model.failures if request.knobs.failures is None else request.knobs.failures
        if failures is None or self._refusals.refuse(body, failures):
            raise Refused(model.refusal)

    def _prepare(self, model: Model, request: ChatRequest) -> Performance:
        usage = Usage(request.prompt_tokens)
        name = f"chatcmpl-{secrets.token_urlsafe(22)[:29]}"
        envelope = Envelope(name, int(time.time()), model.name, request.include_usage, usage)
        pace = request.knobs.turn(model.pace or self._pace)
        headers = {"openai-version": "2020-10-01", "x-request-id": f"req_{secrets.token_hex(16)}"}
        return Performance(model.play(request), envelope, pace, request.knobs.seed, headers)

    def _count_ending(self, known: str | None) -> Callable[[bool], None]:
        return lambda played: self.tally.end(known, Ending.COMPLETED if played else Ending.ABORTED)


def _has_field(request: ChatRequest, name: str) -> bool:
    return request.stream if name == "stream" else request.has_stream_options


def find_model(name: str) -> Model:
    """Raises: Refused 404."""
    model = CATALOGUE.get(name)
    if model is None:
        raise unknown_model(name)
    return model
