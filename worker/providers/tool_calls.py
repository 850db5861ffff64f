"""Puts the fragments of tool calls into OpenAI's form: an index for each call, and its id and name once. No I/O.

Providers leave out the index or the id, give all calls the same index, repeat the name in each fragment, or send the
arguments as an object. A fragment belongs to the call with its id, else to the latest call with its index, else to the
call at its place in the list or to the last one. What cannot belong to that call begins a new one: another name, or
more arguments although those of the call are complete.
"""

import json
import secrets
from typing import Any

from contract.event import encode_json

Fragment = dict[str, Any]

_PIECES = {"function": "arguments", "custom": "input"}
"""For each type of call, the only field that is streamed in pieces."""


class ToolCall:
    """One call of a choice. `arguments` are its pieces so far."""

    __slots__ = ("arguments", "ids", "index", "key", "name", "sent")

    def __init__(self, index: int, key: int | str | None) -> None:
        self.index = index
        self.key = key
        """The provider's index, which other calls may have, too."""
        self.ids: set[str] = set()
        self.name = ""
        self.arguments: list[str] = []
        self.sent: dict[str, Any] = {}

    def was_named_by(self, given: Fragment) -> bool:
        """Whether a fragment has this call's id and index."""
        return _text(given.get("id")) in self.ids and _key(given.get("index")) == self.key

    def is_complete_before(self, text: str) -> bool:
        """Whether `text` begins another JSON object after a complete one."""
        return text.lstrip()[:1] == "{" and self._is_complete()

    def is_cut_off(self) -> bool:
        """Whether there are arguments, and they are not complete."""
        return bool(self.arguments) and not self._is_complete()

    def _is_complete(self) -> bool:
        if not self.arguments or not self.arguments[-1].rstrip().endswith("}"):
            return False
        try:
            return isinstance(json.loads("".join(self.arguments)), dict)
        except (ValueError, RecursionError):
            return False


class ToolCalls:
    """The calls of one choice, in the order in which they began."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._has_good_indexes = True

    def __bool__(self) -> bool:
        return bool(self._calls)

    def repair(self, given: object) -> list[Fragment]:
        """The fragments of one chunk, as OpenAI would send them. What is not a fragment is left out."""
        fragments = [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, dict)]
        return [self._repair(one, place, len(fragments)) for place, one in enumerate(fragments)]

    def _repair(self, given: Fragment, place: int, count: int) -> Fragment:
        if self._has_good_indexes and self._is_well_formed(given):
            return given
        kind = "custom" if isinstance(given.get("custom"), dict) else "function"
        body = given.get(kind)
        body = body if isinstance(body, dict) else {}
        name = _text(body.get("name"))
        arguments = body.get(_PIECES[kind])
        text = arguments if isinstance(arguments, str) else "" if arguments is None else encode_json(arguments).decode()
        call = self._belongs_to(given, name, place, count)
        if call is not None and not isinstance(arguments, str | None) and call.was_named_by(given):
            # An object is never a piece: the provider repeats what it has sent.
            text = "" if call.arguments else text
        elif call is None or (name and self._begins_another(call, given, name, text)):
            call = ToolCall(len(self._calls), _key(given.get("index")))
            self._calls.append(call)
            self._has_good_indexes = self._has_good_indexes and call.key == call.index
        if identity := _text(given.get("id")):
            call.ids.add(identity)
        if text:
            call.arguments.append(text)
        return self._write(call, given, kind, body, text)

    def _is_well_formed(self, given: Fragment) -> bool:
        """The test that most fragments pass: more arguments of a call that has begun."""
        index, function = given.get("index"), given.get("function")
        if len(given) != 2 or type(index) is not int or type(function) is not dict or len(function) != 1:
            return False
        text = function.get("arguments")
        if type(text) is not str or not 0 <= index < len(self._calls):
            return False
        if text:
            self._calls[index].arguments.append(text)
        return True

    def _write(self, call: ToolCall, given: Fragment, kind: str, body: Fragment, text: str) -> Fragment:
        written: Fragment = {"index": call.index}
        if not call.sent:
            # Clients send the id back with the result, so a call needs one.
            written["id"] = call.sent["id"] = self._new_id(given, call)
            written["type"] = call.sent["type"] = given.get("type") or kind
        written[kind] = {_PIECES[kind]: text}
        if not call.name and (name := _text(body.get("name"))):
            written[kind]["name"] = call.name = name
        for holder, fields, target in (("", given, written), (f"{kind}.", body, written[kind])):
            for field, value in fields.items():
                if field not in _KNOWN and value is not None and call.sent.get(holder + field) != value:
                    target[field] = call.sent[holder + field] = value
        return written

    def _belongs_to(self, given: Fragment, name: str, place: int, count: int) -> ToolCall | None:
        if not self._calls:
            return None
        identity, key = _text(given.get("id")), _key(given.get("index"))
        for call in reversed(self._calls):
            if identity in call.ids:
                return call
        if key is not None:
            return next((call for call in reversed(self._calls) if call.key == key), None)
        if not name and not identity and count > 1:
            return self._calls[place] if place < len(self._calls) else None
        return self._calls[-1]

    @staticmethod
    def _begins_another(call: ToolCall, given: Fragment, name: str, text: str) -> bool:
        if call.name and call.name != name:
            return True
        identity = _text(given.get("id"))
        if identity and call.ids and identity not in call.ids:
            # Either another call of the same function, or a provider that makes up an id for each fragment.
            return not call.is_cut_off()
        return call.is_complete_before(text)

    def _new_id(self, given: Fragment, call: ToolCall) -> str:
        identity = _text(given.get("id"))
        is_taken = any(identity in other.ids for other in self._calls if other is not call)
        return identity if identity and not is_taken else f"call_{secrets.token_hex(12)}"


_KNOWN = frozenset({"index", "id", "type", "name", "arguments", "input", "function", "custom"})


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _key(value: object) -> int | str | None:
    return value if isinstance(value, int | str) and not isinstance(value, bool) and value != "" else None
