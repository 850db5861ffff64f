"""Generates the text of an answer, in any number of pieces. The same prompt and seed give the same text. No I/O."""

import random
from collections.abc import Iterator
from itertools import chain, islice

from simulator.flavours import FLAVOURS
from simulator.pieces import split
from simulator.topic import Topic, read_topic

SENTENCES = (
    "A long answer is where a stream earns its keep, because nobody likes to wait for the end of one.",
    "What holds for {0} often holds for {1}, though rarely for the same reason.",
    "Write down what you expect before you look; it is the cheapest experiment there is.",
    "The second reader of a text finds what the first one and its author could not see.",
    "If {2} seems simple, ask someone who has to repair it at night.",
    "Small pieces in the right order beat large ones in a hurry.",
    "Nothing about {1} is urgent enough to skip the question of who it is for.",
    "Anything that may come twice, or not at all, needs a number on it.",
    "There is a good habit hidden in {3}: leave things a little clearer than they were.",
    "Whoever arrives late should see the same as whoever came first.",
    "Measure {0} before you improve it, and once more when you are sure that you did.",
    "A pause is not an end, and a good reader can tell which of the two it is.",
    "The best time to think about failure is while everything still works.",
    "Take {2} away for a moment: what is left is what this is really about.",
)
SENTENCES_A_NOTE = 5


def answer(prompt: str, seed: int | None, flavour: int = 0) -> str:
    """Returns one markdown answer. Each number of `flavour` gives a different answer to the same prompt."""
    topic = read_topic(prompt)
    return FLAVOURS[(topic.fingerprint + (seed or 0) + flavour) % len(FLAVOURS)](topic)


def answer_pieces(prompt: str, seed: int | None, chunks: int | None) -> Iterator[str]:
    """Yields the answer. With `chunks`, exactly that many pieces: the answer is cut, or continued with notes."""
    pieces = split(answer(prompt, seed))
    if chunks is None:
        return pieces
    return islice(chain(pieces, notes(read_topic(prompt), seed)), chunks)


def notes(topic: Topic, seed: int | None) -> Iterator[str]:
    """Yields pieces of prose, without end."""
    chance = random.Random(f"{topic.fingerprint} {seed}")  # noqa: S311 - prose, not a secret
    number = 1
    while True:
        chosen = chance.sample(SENTENCES, SENTENCES_A_NOTE)
        yield from split(f"\n## Note {number}\n\n" + " ".join(chosen).format(*topic.words) + "\n")
        number += 1
