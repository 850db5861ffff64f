"""Generates the text of an answer, in any number of pieces. The same prompt and seed give the same text. No I/O.

The simulator does not understand a question. It chooses the sections that the words of the question point to.
"""

import random
from collections.abc import Iterator
from itertools import chain, islice

from simulator.pieces import split
from simulator.sections import FAN_OUT, MARKS, SECTIONS, Section
from simulator.topic import Topic, read_topic

NOTICE = (
    "> **This is Manycast's built-in demo, not a language model.** It can only explain Manycast. Set `OPENAI_API_KEY` "
    "and start Manycast again to ask a real model.\n\n"
)
OFF_TOPIC = (
    " The demo only knows Manycast, so it tells you about what you are watching: an answer on its way to any number of "
    "screens."
)
TRY_IT = """\
## Try it

1. **Share an answer.** Open its link in a second window, or scan its code with a phone.
2. **Reload the page** while an answer is being written. Nothing is lost, and nothing comes twice.
3. **Switch the network off and on.** The rest arrives as soon as you are back.
4. **Press Stop** while somebody else watches. The answer stops on both screens.

"""
MOST_MATCHES = 2
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


def answer(prompt: str, seed: int | None, variant: int = 0) -> str:
    """Returns one markdown answer. Each number of `variant` gives a different answer to the same prompt."""
    topic = read_topic(prompt)
    matches = rank(prompt)
    shown = complete((matches or [FAN_OUT])[:MOST_MATCHES], topic.fingerprint + (seed or 0), variant)
    rest = [section.name for section in SECTIONS if section not in shown]
    return (
        NOTICE
        + f"You wrote: “{topic.title}”{'' if matches else OFF_TOPIC}\n\n"
        + "".join(f"## {section.title}\n\n{section.text}\n" for section in shown)
        + TRY_IT
        + f"You can also ask the demo about {', '.join(rest[:-1])} or {rest[-1]}.\n"
    )


def rank(prompt: str) -> list[Section]:
    """The sections that the prompt asks for, the best first."""
    counts = {section.title: section.count_matches(prompt) for section in SECTIONS}
    found = [section for section in SECTIONS if counts[section.title]]
    return sorted(found, key=lambda section: -counts[section.title])


def complete(chosen: list[Section], turn: int, variant: int) -> list[Section]:
    """Adds sections until the answer has all of `MARKS`, beginning the search at `turn`.

    A `variant` other than 0 begins with another section instead.
    """
    others = [section for section in SECTIONS if section not in chosen]
    if variant:
        first = others.pop((variant - 1) % len(others))
        chosen = [first, *chosen[1:]]
    start = turn % len(others)
    others = others[start:] + others[:start]
    shown = list(chosen)
    while missing := MARKS.keys() - frozenset().union(*(section.kinds for section in shown)):
        best = max(others, key=lambda section: len(section.kinds & missing))
        others.remove(best)
        shown.append(best)
    return shown


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
