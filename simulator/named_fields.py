"""DSPy's format of words: which fields a request wants in the answer, and what each may contain. No I/O.

DSPy sends no `response_format` to a model that it does not know. It describes the answer in the prompt: each field is
under a heading, `[[ ## name ## ]]`, and the last heading is `completed`. A note beside a field's place in the system
message says what may stand there.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from simulator.answer_schema import DECODER
from simulator.schema import fit
from simulator.topic import read_topic
from simulator.values import Unfit

END = "completed"
TEXT = {"type": "string"}
_HEADING = re.compile(r"\[\[ ## (\w+) ## \]\]")
_ASKED = re.compile(r"Respond with the corresponding output fields, (starting with .*)", re.DOTALL)
_PLACE = r"\[\[ ## {name} ## \]\]\n\{{{name}\}}(?P<note>.*)"
_SCHEMA = "must adhere to the JSON schema: "
_SINGLE = re.compile(r"must be a single (int|float) value")
_BOOLEAN = "must be True or False"
_ONE_OF = re.compile(r"must exactly match \(no extra characters\) one of: (.+)")
_TYPES = {"int": "integer", "float": "number"}


@dataclass(frozen=True, slots=True)
class NamedField:
    """A field of the answer. `schema` says what fits; None for prose."""

    name: str
    schema: Any


def read_named_fields(prompt: str, texts: list[str]) -> tuple[NamedField, ...]:
    """Empty if the request does not describe this format. `texts` are all messages, `prompt` is the user's last one."""
    asked = _ASKED.search(prompt)
    if asked is None:
        return ()
    described = "\n".join(texts)
    names = [name for name in _HEADING.findall(asked[1]) if name != END]
    return tuple(NamedField(name, _read_schema(name, described)) for name in names)


def write_named_fields(fields: tuple[NamedField, ...], prompt: str) -> str:
    """The answer."""
    question = " ".join(line for line in prompt[: _asked_at(prompt)].splitlines() if not _HEADING.fullmatch(line))
    topic = read_topic(question)
    written = [f"[[ ## {field.name} ## ]]\n{_write_value(field, topic.words)}\n" for field in fields]
    return "\n".join([*written, f"[[ ## {END} ## ]]"])


def _asked_at(prompt: str) -> int:
    asked = _ASKED.search(prompt)
    return len(prompt) if asked is None else asked.start()


def _read_schema(name: str, described: str) -> Any:
    place = re.search(_PLACE.format(name=re.escape(name)), described)
    note = place["note"] if place else ""
    if _SCHEMA in note:
        try:
            return DECODER.raw_decode(note, note.index(_SCHEMA) + len(_SCHEMA))[0]
        except (ValueError, RecursionError):
            return None
    if single := _SINGLE.search(note):
        return {"type": _TYPES[single[1]]}
    if _BOOLEAN in note:
        return {"type": "boolean"}
    if one_of := _ONE_OF.search(note):
        return {"enum": one_of[1].split("; ")}
    return None


def _write_value(field: NamedField, words: tuple[str, ...]) -> str:
    if field.schema is None:
        return f"The simulator has read about {words[0]}. A real model would now answer."
    try:
        value = fit(field.schema, words)
    except Unfit:
        return words[0]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
