"""What earlier attempts at a run have done, from their entries in the log. No I/O.

A call of a script has an id that depends only on its place in the script: `3` is the third call, `3.1` the first one
inside it. A repeated attempt makes the same calls in the same order and gets the recorded result of each.
"""

from collections.abc import Iterable
from typing import Any

from manycast.script.errors import ScriptChangedError
from manycast.script.host import Entry

SAYING = "say"
EMITTING = "emit"
VALUE = "value"
INPUT = "input"
CHANGED = "script_changed"
"""The reason of a `restart` that begins the script again from its first call."""


class Record:
    """Finds calls by their id."""

    def __init__(self, past: Iterable[Entry]) -> None:
        self._begun: dict[str, dict[str, Any]] = {}
        self._ended: dict[str, dict[str, Any]] = {}
        self._single: dict[str, tuple[str, dict[str, Any]]] = {}
        self._said: dict[str, list[dict[str, Any]]] = {}
        self._void: dict[str, list[dict[str, Any]]] = {}
        self._questions: dict[str, dict[str, Any]] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._refusals: dict[str, int] = {}
        self._asked: set[str] = set()
        for entry in _since_last_change(past):
            self._read(entry)

    def _read(self, entry: Entry) -> None:
        kind, data = entry
        if kind == "step" and data["state"] == "begin":
            self._begun[data["id"]] = data
        elif kind == "step" and data["state"] == "end":
            self._ended[data["id"]] = data
        elif kind == INPUT:
            known = self._questions if data["state"] == "asked" else self._answers
            known[data["id"]] = data
            if data["state"] == "refused":
                self._refusals[data["id"]] = self.count_refusals(data["id"]) + 1
        elif kind in (EMITTING, VALUE):
            self._single[data["id"]] = kind, data
        elif kind == "chunk" and (place := data.get("manycast", {}).get("step")):
            self._said.setdefault(place, []).append(data)
        elif kind == "restart":
            self.retract()

    @property
    def is_empty(self) -> bool:
        return not (self._begun or self._single or self._said or self._void or self._questions)

    @property
    def has_cut_text(self) -> bool:
        """Whether the answer contains text of a step that did not end: it must be retracted, because that step starts
        again."""
        return any(place in self._begun and place not in self._ended for place in self._said)

    def retract(self) -> None:
        """The answer begins again: what was said must be said again."""
        self._void.update(self._said)
        self._said = {}

    def begun(self, place: str, kind: str, name: str) -> bool:
        """Whether this step has begun before. Raises: ScriptChangedError if another call has its place."""
        self._check(place, kind, name)
        return place in self._begun

    def ended(self, place: str) -> dict[str, Any] | None:
        """The end of a step, None if it has not ended."""
        return self._ended.get(place)

    def single(self, place: str, kind: str, name: str) -> dict[str, Any] | None:
        """A recorded call that is no step. Raises: as `begun`."""
        self._check(place, kind, name)
        found = self._single.get(place)
        return None if found is None else found[1]

    def question(self, place: str) -> dict[str, Any] | None:
        """The question that was asked here; None if it was not. Raises: as `begun`."""
        self._check(place, INPUT, "")
        return self._questions.get(place)

    def answer(self, place: str) -> dict[str, Any] | None:
        """How the question has ended: `answered` or `timed_out`; None if it waits."""
        found = self._answers.get(place)
        return None if found is None or found["state"] == "refused" else found

    def count_refusals(self, place: str) -> int:
        """How many answers to this question did not fit."""
        return self._refusals.get(place, 0)

    def is_said(self, place: str) -> bool:
        """Whether the text of this call is a part of the answer. Raises: as `begun`."""
        return place in self._said

    def check_saying(self, place: str) -> None:
        """Raises: as `begun`."""
        self._check(place, SAYING, "")

    def check_complete(self) -> None:
        """The script has ended. Raises: ScriptChangedError if the record has calls that it did not make."""
        for place in (*self._begun, *self._single, *self._questions):
            # A tool that has ended is not called again, so it makes no calls.
            if place not in self._asked and not self._is_inside_tool(place):
                kind, name = self._known(place)
                raise ScriptChangedError(f"The script has changed during its run: {_words(kind, name)} is missing.")

    def _is_inside_tool(self, place: str) -> bool:
        parts = place.split(".")
        outer = (".".join(parts[:size]) for size in range(1, len(parts)))
        return any(one in self._ended and self._begun[one]["kind"] == "tool" for one in outer)

    def _known(self, place: str) -> tuple[str, str]:
        if place in self._begun:
            return self._begun[place]["kind"], self._begun[place]["name"]
        if place in self._single:
            kind, data = self._single[place]
            return kind, data["name"]
        if place in self._questions:
            return INPUT, ""
        if place in self._said or place in self._void:
            return SAYING, ""
        return "", ""

    def _check(self, place: str, kind: str, name: str) -> None:
        self._asked.add(place)
        known = self._known(place)
        if known not in (("", ""), (kind, name)):
            text = f"{_words(kind, name)} is where {_words(*known)} was"
            raise ScriptChangedError(f"The script has changed during its run: {text}.")


def _since_last_change(past: Iterable[Entry]) -> list[Entry]:
    """What counts: a script that was changed has begun again from its first call."""
    entries = list(past)
    is_change = [kind == "restart" and data.get("reason") == CHANGED for kind, data in entries]
    return entries[len(entries) - is_change[::-1].index(True) :] if any(is_change) else entries


def _words(kind: str, name: str) -> str:
    if kind == SAYING:
        return "a text that it says"
    if kind == INPUT:
        return "a question"
    return f"the event '{name}'" if kind == EMITTING else f"the {kind} '{name}'" if kind == VALUE else f"step '{name}'"
