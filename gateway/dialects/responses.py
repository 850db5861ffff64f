"""The Responses dialect: typed events of OpenAI's Responses API, made from the provider's chunks. No I/O.

An event's `sequence_number` counts the events before it, from the start of the log, so every gateway computes the same
number from the log alone: docs/decisions/0011. The first two events do not depend on the log: a viewer gets them at
once, from `write_beginning`. Only the first choice is shown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from contract.errors import SERVER_ERROR, Code, RunError
from contract.event import Kind, Status, encode_json, merge_chunk, parse_json
from gateway.dialects.base import SSE_HEADERS
from gateway.dialects.response_ids import response_id_of, write_item_id
from gateway.dialects.responses_thoughts import write_thoughts
from gateway.dialects.vendor_fields import (
    REASONING_FIELDS,
    Source,
    add_reasoning_details,
    read_annotations,
    read_response_usage,
    read_sources,
    read_spoken,
)
from gateway.http.run_errors import CANCELLED, error_body

BEGINNING_EVENTS = 2
"""`response.created` and `response.in_progress`."""
LOST = "The worker was lost in the middle of the answer. Another worker starts the answer again."
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}

Frames = Iterator[bytes]


class Pieces:
    """A list that grows. Copies share what it holds, because a feed copies its dialect at each page of an answer."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest: tuple[Any, ...] = ()

    def __deepcopy__(self, _: object) -> "Pieces":
        twin = Pieces()
        twin._rest = self._rest
        return twin

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pieces) and self.read() == other.read()

    __hash__ = None  # type: ignore[assignment]

    def add(self, piece: Any) -> None:
        self._rest = (self._rest, piece)

    def read(self) -> list[Any]:
        pieces, rest = [], self._rest
        while rest:
            rest, piece = rest
            pieces.append(piece)
        pieces.reverse()
        return pieces


@dataclass(slots=True)
class Text:
    """A text that grows. `half`: of a surrogate pair inside which the provider has cut the text."""

    pieces: Pieces = field(default_factory=Pieces)
    half: str = ""

    def __str__(self) -> str:
        return "".join(self.pieces.read())

    def add(self, piece: str) -> str:
        """Returns what can be shown now."""
        piece, self.half = self.half + piece, ""
        if "\ud800" <= piece[-1:] <= "\udbff":
            piece, self.half = piece[:-1], piece[-1]
        if not piece.isascii():
            # Joins pairs that came in two pieces. A half without its partner cannot be encoded as UTF-8.
            piece = piece.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if piece:
            self.pieces.add(piece)
        return piece

    def finish(self) -> str:
        """Returns what replaces a half whose partner never came."""
        half, self.half = self.half, ""
        return self.add("\ufffd") if half else ""


@dataclass(slots=True)
class Part:
    """The part of a message that is being written: output_text or refusal."""

    kind: str
    text: Text = field(default_factory=Text)
    logprobs: Pieces = field(default_factory=Pieces)


@dataclass(slots=True)
class Item:
    """An output item that is being written. `parts`: the finished parts of a message."""

    kind: str
    id: str
    index: int
    text: Text = field(default_factory=Text)
    part: Part | None = None
    parts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Call:
    """A function call, as far as its fragments have arrived. It is not an item before it has a name."""

    call_id: str
    name: str = ""
    item: Item | None = None
    arguments: Text = field(default_factory=Text)
    extra_content: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Attempt:
    """What one attempt at the answer has said. `items`: the JSON of each finished item, by its place in the output."""

    epoch: int = 1
    shared: dict[str, Any] = field(default_factory=dict)
    has_said: bool = False
    model: str = ""
    places: int = 0
    items: dict[int, bytes] = field(default_factory=dict)
    item: Item | None = None
    calls: dict[int, Call] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    unsaid_sources: int = 0
    reasoning_field: str = ""
    reasoning_details: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = ""


class ResponsesDialect:
    """Keeps the items of the answer so far, because the events that end an item repeat it whole.

    `echo` is the JSON object of what the response repeats of its request: the fields of a Response that do not depend
    on the answer. This format cannot retract text, so a restart after the first chunk ends the response.
    """

    headers: Mapping[str, str] = SSE_HEADERS
    resumes = False
    tells_state = False

    def __init__(self, stream_id: str, echo: bytes) -> None:
        self.closed = False
        self.error: Mapping[str, Any] | None = None
        """The error that ended the response, as in a `done` event."""
        self.next_number = BEGINNING_EVENTS
        self.begins_again = False
        """Whether the present attempt follows one that viewers have seen: then the log's restart is its beginning."""
        self._stream_id = stream_id
        self._echo = echo
        self._attempt = Attempt()

    @property
    def has_sent_chunk(self) -> bool:
        return self._attempt.has_said

    def forget(self) -> None:
        if self._attempt.has_said:
            # Viewers of the lost attempt got `response.failed` here.
            self.next_number += 1
            self.begins_again = True
        self._attempt = Attempt()

    def write_beginning(self, after: int = -1) -> bytes:
        """The events that come before those of the log, from the one after number `after` on."""
        frames = self._begin(0)
        return b"".join(frame for number, frame in enumerate(frames) if number > after)

    def write_event(self, position: bytes, kind: bytes, data: bytes) -> bytes:  # noqa: ARG002 - the number is counted
        return b"".join(self.write_frames(kind, data))

    def write_frames(self, kind: bytes, data: bytes) -> list[bytes]:
        """The events for one entry of the log. The first has the number `next_number`."""
        if self.closed:
            return []
        value = parse_json(data)
        match kind.decode():
            case Kind.START:
                self._attempt.epoch, self._attempt.shared = value["epoch"], value["chunk"]
            case Kind.CHUNK:
                return list(self._write_chunk(merge_chunk(self._attempt.shared, value)))
            case Kind.RESTART if self._attempt.has_said:
                self.closed = True
                error = RunError(Code.WORKER_LOST, LOST, SERVER_ERROR, retryable=True).as_json()
                # The output of the lost attempt is void.
                return [self._end("failed", "failed", error, [])]
            case Kind.RESTART if self.begins_again:
                self.next_number += BEGINNING_EVENTS
                return self._begin(self.next_number - BEGINNING_EVENTS)
            case Kind.DONE:
                return list(self._finish(value))
        return []

    # The chunks

    def _write_chunk(self, chunk: Mapping[str, Any]) -> Frames:
        attempt = self._attempt
        attempt.has_said = True
        if isinstance(model := chunk.get("model"), str) and model:
            attempt.model = model
        self._note_sources(read_sources(chunk))
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                yield from self._write_choice(choice)

    def _write_choice(self, choice: Mapping[str, Any]) -> Frames:
        attempt = self._attempt
        delta = choice.get("delta")
        if isinstance(delta, dict):
            name = next((name for name in REASONING_FIELDS if delta.get(name)), "")
            add_reasoning_details(attempt.reasoning_details, delta.get("reasoning_details"))
            yield from self._write_reasoning(delta.get(name), name)
            yield from self._write_text(
                "output_text", delta.get("content") or read_spoken(delta), choice.get("logprobs")
            )
            yield from self._write_text("refusal", delta.get("refusal"), None)
            self._note_sources(read_annotations(delta))
            calls = delta.get("tool_calls")
            for fragment in calls if isinstance(calls, list) else ():
                if isinstance(fragment, dict):
                    yield from self._write_call_fragment(fragment)
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            attempt.finish_reason = reason

    def _write_reasoning(self, text: object, name: str) -> Frames:
        if not isinstance(text, str) or not text:
            return
        self._attempt.reasoning_field = name
        if self._attempt.item is None or self._attempt.item.kind != "reasoning":
            yield from self._close_item("completed")
            item = self._attempt.item = self._new_item("reasoning")
            shown = {"id": item.id, "type": "reasoning", "summary": [], "status": "in_progress"}
            yield self._emit("response.output_item.added", output_index=item.index, item=shown)
            part = {"type": "summary_text", "text": ""}
            yield self._emit("response.reasoning_summary_part.added", **_at(item), summary_index=0, part=part)
        item = self._attempt.item
        if delta := item.text.add(text):
            yield self._emit("response.reasoning_summary_text.delta", **_at(item), summary_index=0, delta=delta)

    def _write_text(self, kind: str, text: object, logprobs: object) -> Frames:
        if not isinstance(text, str) or not text:
            return
        item = self._attempt.item
        if item is None or item.kind != "message":
            yield from self._close_item("completed")
            item = self._attempt.item = self._new_item("message")
            shown = {"id": item.id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
            yield self._emit("response.output_item.added", output_index=item.index, item=shown)
        if item.part is None or item.part.kind != kind:
            yield from self._close_part(item)
            item.part = Part(kind)
            yield self._emit("response.content_part.added", **_in_part(item), part=_describe_part(item.part))
        likely = _read_logprobs(logprobs)
        for each in likely:
            item.part.logprobs.add(each)
        if delta := item.part.text.add(text):
            yield self._emit_delta(item, delta, likely)

    def _emit_delta(self, item: Item, delta: str, logprobs: list[dict[str, Any]]) -> bytes:
        if item.part is not None and item.part.kind == "refusal":
            return self._emit("response.refusal.delta", **_in_part(item), delta=delta)
        return self._emit("response.output_text.delta", **_in_part(item), delta=delta, logprobs=logprobs)

    def _write_call_fragment(self, fragment: Mapping[str, Any]) -> Frames:
        index = fragment.get("index")
        index = index if isinstance(index, int) else 0
        function = fragment.get("function")
        function = function if isinstance(function, dict) else {}
        yield from self._close_item("completed")
        call = self._attempt.calls.setdefault(index, Call(str(fragment.get("id") or f"call_{index}")))
        if isinstance(extra := fragment.get("extra_content"), dict):
            call.extra_content.update(extra)
        if not call.name and isinstance(name := function.get("name"), str):
            call.name = name
        text = function.get("arguments")
        delta = call.arguments.add(text) if isinstance(text, str) else ""
        if call.item is None and call.name:
            # The arguments that came before the name are part of the first delta.
            delta = str(call.arguments)
            yield self._open_call(call)
        if call.item is not None and delta:
            yield self._emit("response.function_call_arguments.delta", **_at(call.item), delta=delta)

    def _open_call(self, call: Call) -> bytes:
        item = call.item = self._new_item("function_call")
        shown = {**_describe_call(call, item), "arguments": "", "status": "in_progress"}
        return self._emit("response.output_item.added", output_index=item.index, item=shown)

    def _note_sources(self, sources: Iterator[Source]) -> None:
        """Each source once: some providers repeat the whole list in each chunk."""
        known = {source.url for source in self._attempt.sources}
        for source in sources:
            if source.url not in known:
                known.add(source.url)
                self._attempt.sources.append(source)
                self._attempt.unsaid_sources += 1

    # The ends of items

    def _new_item(self, kind: str) -> Item:
        index, self._attempt.places = self._attempt.places, self._attempt.places + 1
        return Item(kind, write_item_id(kind, self._stream_id, self._attempt.epoch, index), index)

    def _close_item(self, status: str) -> Frames:
        """Ends the item that grows at the moment; function calls grow side by side and end with the answer."""
        item, self._attempt.item = self._attempt.item, None
        if item is None:
            return
        if item.kind == "message":
            yield from self._close_part(item)
            whole = _describe_message(item, status)
        else:
            if rest := item.text.finish():
                yield self._emit("response.reasoning_summary_text.delta", **_at(item), summary_index=0, delta=rest)
            text = str(item.text)
            yield self._emit("response.reasoning_summary_text.done", **_at(item), summary_index=0, text=text)
            part = {"type": "summary_text", "text": text}
            yield self._emit("response.reasoning_summary_part.done", **_at(item), summary_index=0, part=part)
            whole = self._describe_reasoning(item, [part], status)
        yield self._close(item, whole)

    def _close_part(self, item: Item) -> Frames:
        part = item.part
        if part is None:
            return
        if rest := part.text.finish():
            yield self._emit_delta(item, rest, [])
        whole, place = _describe_part(part), _in_part(item)
        if part.kind == "refusal":
            yield self._emit("response.refusal.done", **place, refusal=whole["refusal"])
        else:
            for annotation in self._take_annotations(len(whole["text"])):
                number = len(whole["annotations"])
                whole["annotations"].append(annotation)
                yield self._emit(
                    "response.output_text.annotation.added", **place, annotation_index=number, annotation=annotation
                )
            yield self._emit("response.output_text.done", **place, text=whole["text"], logprobs=whole["logprobs"])
        yield self._emit("response.content_part.done", **place, part=whole)
        item.parts.append(whole)
        item.part = None

    def _take_annotations(self, end: int) -> list[dict[str, Any]]:
        """Providers do not say which text a source belongs to, so it stands at the end of the text so far."""
        unsaid, self._attempt.unsaid_sources = self._attempt.unsaid_sources, 0
        new = self._attempt.sources[-unsaid:] if unsaid else []
        place = {"start_index": end, "end_index": end}
        return [{"type": "url_citation", "url": url, "title": title or url, **place} for url, title in new]

    def _close_call(self, call: Call, status: str) -> Frames:
        if call.item is None:
            yield self._open_call(call)
            if text := str(call.arguments):
                assert call.item is not None
                yield self._emit("response.function_call_arguments.delta", **_at(call.item), delta=text)
        item = call.item
        assert item is not None
        if rest := call.arguments.finish():
            yield self._emit("response.function_call_arguments.delta", **_at(item), delta=rest)
        arguments = str(call.arguments)
        yield self._emit("response.function_call_arguments.done", **_at(item), name=call.name, arguments=arguments)
        yield self._close(item, {**_describe_call(call, item), "status": status})

    def _close(self, item: Item, whole: Mapping[str, Any]) -> bytes:
        self._attempt.items[item.index] = encode_json(whole)
        return self._emit("response.output_item.done", output_index=item.index, item=whole)

    def _close_all(self, status: str) -> Frames:
        yield from self._close_item(status)
        for call in self._attempt.calls.values():
            yield from self._close_call(call, status)
        if self._attempt.reasoning_details:
            # Details that came after the thoughts, or without any: the provider wants them back with the results.
            item = self._new_item("reasoning")
            whole = self._describe_reasoning(item, [], status)
            shown = {**whole, "status": "in_progress"}
            yield self._emit("response.output_item.added", output_index=item.index, item=shown)
            yield self._close(item, whole)

    def _describe_reasoning(self, item: Item, summary: list[dict[str, Any]], status: str) -> dict[str, Any]:
        details, self._attempt.reasoning_details = self._attempt.reasoning_details, []
        kept = write_thoughts(self._attempt.reasoning_field if summary else "", details)
        encrypted = {} if kept is None else {"encrypted_content": kept}
        return {"id": item.id, "type": "reasoning", "summary": summary, **encrypted, "status": status}

    # The end of the response

    def _finish(self, done: Mapping[str, Any]) -> Frames:
        cut = done["status"] != Status.COMPLETED or self._attempt.finish_reason in _INCOMPLETE
        yield from self._close_all("incomplete" if cut else "completed")
        self.closed = True
        usage = read_response_usage(done.get("usage"))
        output = [parse_json(self._attempt.items[index]) for index in sorted(self._attempt.items)]
        match done["status"]:
            case Status.COMPLETED if not cut:
                yield self._end("completed", "completed", None, output, usage=usage, **self._completed_at(done))
            case Status.COMPLETED:
                reason = {"reason": _INCOMPLETE[self._attempt.finish_reason]}
                yield self._end("incomplete", "incomplete", None, output, usage=usage, incomplete_details=reason)
            case Status.CANCELLED:
                yield self._end("failed", "cancelled", CANCELLED, output, usage=usage)
            case _:
                yield self._end("failed", "failed", done["error"], output, usage=usage)

    def _completed_at(self, done: Mapping[str, Any]) -> dict[str, int]:
        """From the log alone, so that it is the same at every gateway."""
        timing = done["timing"] or {}
        took_ms = sum(timing.get(name) or 0 for name in ("queued_ms", "total_ms"))
        return {"completed_at": parse_json(self._echo)["created_at"] + took_ms // 1000}

    def _end(self, event: str, status: str, error: Mapping[str, Any] | None, output: list[Any], **fields: Any) -> bytes:
        self.error = error
        told = None if error is None else {"code": str(error.get("code")), "message": str(error.get("message"))}
        response = {
            **describe_unfinished(self._stream_id, self._echo, status),
            "error": told,
            "output": output,
            **fields,
        }
        if self._attempt.model:
            response["model"] = self._attempt.model
        return self._emit(f"response.{event}", response=response)

    def _begin(self, number: int) -> list[bytes]:
        response = describe_unfinished(self._stream_id, self._echo, "in_progress")
        kinds = ("response.created", "response.in_progress")
        return [_frame(kind, number + at, {"response": response}) for at, kind in enumerate(kinds)]

    def _emit(self, kind: str, **fields: Any) -> bytes:
        number, self.next_number = self.next_number, self.next_number + 1
        return _frame(kind, number, fields)

    # What is not in the log

    def write_notice(self, kind: bytes, data: bytes) -> bytes:  # noqa: ARG002 - any notice shows that the connection is alive
        return b": ping\n\n" if kind == b"ping" else b""

    def write_retry(self, retry_ms: int) -> bytes:  # noqa: ARG002 - clients of this format do not obey it
        return b""

    def write_break(self, code: str, text: str) -> bytes:
        return _write_error(RunError(code, text, SERVER_ERROR, retryable=True).as_json())

    def write_lost(self, error: Mapping[str, Any]) -> bytes:
        return _write_error(error)


def describe_unfinished(stream_id: str, echo: bytes, status: str) -> dict[str, Any]:
    """The Response without its output. `status`: queued or in_progress; `echo` as for `ResponsesDialect`."""
    empty: dict[str, Any] = {
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
    }
    named = {"id": response_id_of(stream_id), "object": "response"}
    return {**named, **parse_json(echo), **empty, "status": status}


def read_last_response(frames: list[bytes]) -> dict[str, Any]:
    """The response in the last event of an answer. `frames` are those of its `done`."""
    response: dict[str, Any] = parse_json(frames[-1].partition(b"\ndata: ")[2])["response"]
    return response


def _frame(kind: str, number: int, fields: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (
        kind.encode(),
        encode_json({"type": kind, "sequence_number": number, **fields}),
    )


def _write_error(error: Mapping[str, Any]) -> bytes:
    """An event that is not in the log. SDKs raise it, because it has a field `error`.

    Its number is 0, not the next one: viewers may have read less than the feed, and would resume too late.
    """
    told = error_body(error)
    return _frame("error", 0, {**{name: told["error"][name] for name in ("code", "message", "param")}, **told})


def _at(item: Item) -> dict[str, Any]:
    return {"item_id": item.id, "output_index": item.index}


def _in_part(item: Item) -> dict[str, Any]:
    return {**_at(item), "content_index": len(item.parts)}


def _describe_part(part: Part) -> dict[str, Any]:
    if part.kind == "refusal":
        return {"type": "refusal", "refusal": str(part.text)}
    return {"type": "output_text", "text": str(part.text), "annotations": [], "logprobs": part.logprobs.read()}


def _describe_message(item: Item, status: str) -> dict[str, Any]:
    return {"id": item.id, "type": "message", "role": "assistant", "status": status, "content": item.parts}


def _describe_call(call: Call, item: Item) -> dict[str, Any]:
    named = {"id": item.id, "type": "function_call", "call_id": call.call_id, "name": call.name}
    extra = {"extra_content": call.extra_content} if call.extra_content else {}
    return {**named, "arguments": str(call.arguments), **extra}


def _read_logprobs(logprobs: object) -> list[dict[str, Any]]:
    """The chunk's logprobs in the form of the Responses API. Those of a refusal have no place there."""
    entries = logprobs.get("content") if isinstance(logprobs, dict) else None
    return [
        {**_likely(entry), "top_logprobs": [_likely(each) for each in _objects(entry.get("top_logprobs"))]}
        for entry in _objects(entries)
    ]


def _likely(entry: Mapping[str, Any]) -> dict[str, Any]:
    text = entry.get("bytes")
    return {
        "token": str(entry.get("token", "")),
        "logprob": entry.get("logprob", 0.0),
        "bytes": text if isinstance(text, list) else [],
    }


def _objects(entries: object) -> list[dict[str, Any]]:
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
