"""The models without faults: text, reasoning and choices. No I/O."""

import random
from collections.abc import Iterator
from itertools import chain, islice

from simulator.answer import answer, answer_pieces
from simulator.chat_request import ChatRequest
from simulator.pieces import split
from simulator.script import Delta, Script, finish, role
from simulator.topic import read_topic

LONG_CHUNKS = 2_000
LONGEST_CHOICE = 120


def play_text(request: ChatRequest) -> Script:
    knobs = request.knobs
    return play_pieces(request, answer_pieces(request.prompt, knobs.seed, knobs.chunks))


def play_long_text(request: ChatRequest) -> Script:
    knobs = request.knobs
    return play_pieces(request, answer_pieces(request.prompt, knobs.seed, knobs.chunks or LONG_CHUNKS))


def play_echo(request: ChatRequest) -> Script:
    """Answers with the prompt itself, to test how any given text is displayed."""
    return play_pieces(request, split(request.prompt))


def play_pieces(request: ChatRequest, pieces: Iterator[str]) -> Script:
    """Sends at most `max_tokens` pieces. `finish_reason` is `length` if more would follow."""
    yield role()
    for piece in islice(pieces, request.max_tokens):
        yield Delta({"content": piece})
    cut_short = next(pieces, None) is not None
    yield finish("length" if cut_short else "stop")


def play_reasoning(request: ChatRequest) -> Script:
    """Sends thoughts in `reasoning_content`, the name that DeepSeek, vLLM and others use, and then an answer."""
    one, two, three, _ = read_topic(request.prompt).words
    thoughts = (
        f"The question is about {one}. What would help most is not a long list but the first step. "
        f"Is {two} part of it, or only near it? Suppose it is only near: then {three} decides, and that can "
        "be checked quickly. I will say so, show how, and keep it short."
    )
    yield Delta({"role": "assistant", "content": None, "reasoning_content": "", "refusal": None})
    for piece in split(thoughts):
        yield Delta({"content": None, "reasoning_content": piece})
    # The first delta already had the role: skip it here.
    yield from islice(play_text(request), 1, None)


def play_choices(request: ChatRequest) -> Script:
    """Sends two choices (or the request's `n`) piece by piece in turn. Each piece has logprobs."""
    seed = request.knobs.seed
    count = request.choices or 2
    chance = random.Random(f"{request.prompt.encode('utf-8', 'replace')!r} {seed}")  # noqa: S311 - not a secret
    longest = request.max_tokens or request.knobs.chunks or LONGEST_CHOICE
    texts = [islice(split(answer(request.prompt, seed, choice)), longest) for choice in range(count)]
    yield from (role(choice) for choice in range(count))
    open_choices = dict(enumerate(texts))
    while open_choices:
        for choice, pieces in list(open_choices.items()):
            piece = next(pieces, None)
            if piece is None:
                del open_choices[choice]
                yield finish("stop", choice)
            else:
                yield Delta({"content": piece}, choice, logprobs(piece, chance))


def logprobs(piece: str, chance: random.Random) -> dict[str, object]:
    token = {"token": piece, "logprob": -round(chance.expovariate(2), 6), "bytes": list(piece.encode())}
    return {"content": [{**token, "top_logprobs": [token]}], "refusal": None}


def play_with_tail(request: ChatRequest, tail: Script) -> Script:
    """Sends the first `fault_after` pieces of an answer, and then the tail."""
    after = request.knobs.fault_after
    pieces = islice(split(answer(request.prompt, request.knobs.seed)), 12 if after is None else after)
    return chain([role()], (Delta({"content": piece}) for piece in pieces), tail)
