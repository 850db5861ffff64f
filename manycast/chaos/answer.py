"""Reads the text of each choice from a log, or from a whole `chat.completion`. No I/O.

This does not use the gateway's code, so that an error there cannot hide itself.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from contract.event import Event, Kind, merge_chunk


def read_answer(log: Iterable[Event]) -> list[str]:
    """Returns the text of the last epoch, one string per choice."""
    texts: defaultdict[int, list[str]] = defaultdict(list)
    tools: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    shared: dict[str, Any] = {}
    for event in log:
        if event.kind is Kind.RESTART:
            texts.clear()
            tools.clear()
        elif event.kind is Kind.START:
            shared = json.loads(event.data)["chunk"]
        elif event.kind is Kind.CHUNK:
            for choice in merge_chunk(shared, json.loads(event.data))["choices"]:
                texts[choice["index"]] += _texts_of(choice["delta"])
                for call in choice["delta"].get("tool_calls") or ():
                    tools[choice["index"], call["index"]].append(call["function"].get("arguments") or "")
    return [
        _joined([*texts[index], *("".join(parts) for (of, _), parts in sorted(tools.items()) if of == index)])
        for index in sorted(texts)
    ]


def read_whole(completion: Mapping[str, Any]) -> list[str]:
    """Returns the text of a `chat.completion`, one string per choice."""
    texts = []
    for choice in sorted(completion["choices"], key=lambda each: int(each["index"])):
        turn = choice["message"]
        calls = [call["function"]["arguments"] for call in turn.get("tool_calls") or ()]
        texts.append(_joined([*_texts_of(turn), *calls]))
    return texts


def _texts_of(turn: Mapping[str, Any]) -> list[str]:
    # Reasoning comes before the answer.
    return [turn.get("reasoning_content") or "", turn.get("content") or ""]


def _joined(texts: Iterable[str]) -> str:
    """Joins surrogate pairs that were cut into two chunks."""
    return "".join(texts).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
