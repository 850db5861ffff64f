"""The models that fail during the answer. No I/O."""

from itertools import chain

from simulator.chat_request import ChatRequest
from simulator.demos import play_with_tail
from simulator.errors import FAILED_MIDWAY
from simulator.script import Breakdown, Delta, Fate, Garbage, Script, finish, role

HUGE_BYTES = 1_000_000


def play_stall_first(_: ChatRequest) -> Script:
    return iter([Fate.STALL])


def play_stall_middle(request: ChatRequest) -> Script:
    return play_with_tail(request, iter([Fate.STALL]))


def play_drop(request: ChatRequest) -> Script:
    return play_with_tail(request, iter([Fate.CUT]))


def play_truncated(request: ChatRequest) -> Script:
    return play_with_tail(request, iter([Fate.TRUNCATE]))


def play_error_frame(request: ChatRequest) -> Script:
    return play_with_tail(request, iter([Breakdown(FAILED_MIDWAY)]))


def play_garbage(request: ChatRequest) -> Script:
    """Continues after the garbage and ends normally. A client that ignores the garbage loses a part of the text."""
    rest = (Delta({"content": " and so on."}), finish())
    return play_with_tail(request, chain([Garbage(b'{"choices":[{"index":0,"delta":{"content":" lost')], rest))


def play_surrogate(_: ChatRequest) -> Script:
    """Sends two emoji. Each surrogate pair is split over two chunks; the second pair has text around it."""
    halves = (
        "A face in two halves: ",
        "\ud83d",
        "\ude00",
        ", and a hand: \ud83d",
        "\udc4b. Joined again, they are whole.",
    )
    steps = (Delta({"content": half}) for half in halves)
    return chain([role()], steps, [finish()])


def play_huge(request: ChatRequest) -> Script:
    """Sends one chunk of a megabyte, or `chunks` of them."""
    line = "One chunk of a megabyte, because nobody promised that chunks are small. "
    text = (line * (HUGE_BYTES // len(line) + 1))[:HUGE_BYTES]
    huge = (Delta({"content": text}) for _ in range(request.knobs.chunks or 1))
    return chain([role()], huge, [Delta({"content": "\n\nThat was it."}), finish()])
