"""The models without faults: text, reasoning and choices. No I/O."""

import json
import random
from collections.abc import Iterator
from itertools import chain, islice

from simulator.answer import answer, answer_pieces
from simulator.calls import play_functions
from simulator.chat_request import ChatRequest
from simulator.errors import ApiError, Refused
from simulator.named_fields import write_named_fields
from simulator.pieces import split
from simulator.schema import fit
from simulator.script import Delta, Script, finish, role
from simulator.topic import read_topic
from simulator.values import Unfit

LONG_CHUNKS = 2_000
LONGEST_CHOICE = 120
LONGEST_RESULT = 400


def play_demo(request: ChatRequest) -> Script:
    """Calls the tools that the request asks for, or else answers."""
    functions = request.toolbox.choose(request.prompt)
    return play_functions(request, functions) if functions else play_answer(request)


def play_answer(request: ChatRequest) -> Script:
    """Says what the tools said if their results have just come, unless the request wants JSON."""
    if request.tool_results and request.answer_schema is None:
        return play_pieces(request, split(sum_up(request.tool_results)))
    return play_text(request)


def play_text(request: ChatRequest) -> Script:
    return play_pieces(request, text_pieces(request, request.knobs.chunks))


def play_long_text(request: ChatRequest) -> Script:
    return play_pieces(request, text_pieces(request, request.knobs.chunks or LONG_CHUNKS))


def text_pieces(request: ChatRequest, chunks: int | None) -> Iterator[str]:
    """Prose in `chunks` pieces, or JSON or named fields if the request wants that: these have as many as they need."""
    if request.answer_schema is not None:
        return split(json_answer(request, 0))
    if request.named_fields:
        return split(write_named_fields(request.named_fields, request.prompt))
    return answer_pieces(request.prompt, request.knobs.seed, chunks)


def json_answer(request: ChatRequest, turn: int) -> str:
    """Raises: Refused 400 for a schema that nothing fits."""
    try:
        value = fit(request.answer_schema, read_topic(request.prompt).words, turn)
    except Unfit as reason:
        text = f"Invalid schema for response_format: {reason}."
        raise Refused(ApiError(400, text, param="response_format", code="invalid_json_schema")) from None
    return json.dumps(value, ensure_ascii=False)


def sum_up(results: tuple[str, ...]) -> str:
    lines = [" ".join(result.encode("utf-8", "replace").decode().split())[:LONGEST_RESULT] for result in results]
    listed = "\n".join(f"- `{line.replace('`', chr(39))}`" for line in lines)
    return (
        f"## What the tools said\n\n{listed}\n\nA real model would now draw its conclusions; the simulator "
        "only shows that the results arrived.\n"
    )


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
    opening = Delta({"role": "assistant", "content": None, "reasoning_content": "", "refusal": None})
    thinking = (Delta({"content": None, "reasoning_content": piece}) for piece in split(thoughts))
    # `opening` has the role already: the answer begins without it.
    return chain([opening], thinking, without_role(play_demo(request)))


def without_role(script: Script) -> Script:
    for step in script:
        if not isinstance(step, Delta) or "role" not in step.delta:
            yield step
        elif "tool_calls" in step.delta:
            yield Delta({"tool_calls": step.delta["tool_calls"]})


def play_choices(request: ChatRequest) -> Script:
    """Sends two choices (or the request's `n`) piece by piece in turn. Each piece has logprobs."""
    seed = request.knobs.seed
    choices = range(request.choices or 2)
    if request.answer_schema is not None:
        return play_in_turn(request, [split(json_answer(request, choice)) for choice in choices])
    longest = request.max_tokens or request.knobs.chunks or LONGEST_CHOICE
    return play_in_turn(request, [islice(split(answer(request.prompt, seed, choice)), longest) for choice in choices])


def play_in_turn(request: ChatRequest, texts: list[Iterator[str]]) -> Script:
    chance = random.Random(f"{request.prompt.encode('utf-8', 'replace')!r} {request.knobs.seed}")  # noqa: S311 - not a secret
    open_choices = dict(enumerate(texts))
    yield from (role(choice) for choice in open_choices)
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
