"""Find stored responses, read their answers, and rebuild the context that a request continues.

A response stores only the items that its own request added, and the id of the response before. Its output is folded
from its log. So a conversation is not stored again with each turn.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from contract.connection import Client
from contract.event import Event, Kind, Status, encode_json, parse_json
from contract.position import Position
from contract.run_record import RunRecord, read_response, read_run
from contract.stream_log import StreamLog
from gateway.access.caller import Caller
from gateway.dialects.base import NewDialect
from gateway.dialects.response_ids import INPUT_EPOCH, parse_item_id, stream_id_of, write_item_id
from gateway.dialects.responses import ResponsesDialect, describe_unfinished, read_last_response
from gateway.dialects.responses_items import Item, invalid
from gateway.http.errors import ApiError
from gateway.http.models import PARAM_LIMIT_CHARS
from gateway.runs.completion_cache import FoldedRun
from gateway.runs.response_request import NamedItem

FOLDS_AT_ONCE = 2
"""A fold holds a whole answer: more at once only take more memory."""
_NOT_CUT = frozenset({"message"})
"""If an answer was cut, a later request continues only items of these types: half a call or thought is useless."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A run that the Responses API has started. `echo`: the JSON of what the response repeats of its request. `input`:
    the items of the request. `is_kept`: False if its caller did not want it stored."""

    stream_id: str
    record: RunRecord
    echo: bytes
    input: list[Item]
    previous: str | None
    is_background: bool
    is_kept: bool

    @property
    def new_dialect(self) -> NewDialect:
        return partial(ResponsesDialect, self.stream_id, self.echo)


class StoredResponses:
    """`context_limit_bytes`: how long a rebuilt context may be, as JSON: as long as one that the caller sends."""

    def __init__(self, client: Client, log: StreamLog, context_limit_bytes: int) -> None:
        self._client = client
        self._log = log
        self._context_limit_bytes = context_limit_bytes
        self._slots = asyncio.Semaphore(FOLDS_AT_ONCE)

    async def find(self, stream_id: str) -> StoredResponse | None:
        """None if there is no such run, or another call has started it. Raises: BrokerUnavailableError,
        BrokerRefusedError."""
        stored, record = await read_response(self._client, stream_id), await read_run(self._client, stream_id)
        if stored is None or record is None:
            return None
        kept = parse_json(stored)
        echo = kept["echo"]
        return StoredResponse(
            stream_id,
            record,
            encode_json(echo),
            kept["input"],
            echo["previous_response_id"],
            echo["background"],
            kept["store"],
        )

    async def describe(self, stored: StoredResponse) -> dict[str, Any]:
        """The Response. It has its output when the run has ended. Raises: as `read_answer`."""
        status = stored.record.status
        if not status.is_final:
            shown = "queued" if status is Status.QUEUED else "in_progress"
            return describe_unfinished(stored.stream_id, stored.echo, shown)
        _, response = await self.read_answer(stored, stored.record.last)
        return response

    async def fold(self, stored: StoredResponse) -> FoldedRun:
        """The Response of a run that has ended, encoded. Raises: as `read_answer`."""
        done, response = await self.read_answer(stored, stored.record.last)
        return FoldedRun(encode_json(response), done)

    async def read_answer(self, stored: StoredResponse, end: Position) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """The data of the `done` event, and the Response, of a run that has ended at the position `end`.

        Raises: LogLostError, BrokerUnavailableError, BrokerRefusedError.
        """
        dialect = ResponsesDialect(stored.stream_id, stored.echo)
        last: Event | None = None
        frames: list[bytes] = []
        async with self._slots:
            async for event in self._log.read_ended(stored.stream_id, end):
                if event.kind is Kind.RESTART:
                    dialect.forget()
                last, frames = event, dialect.write_frames(event.kind.encode(), event.data)
        assert last is not None
        return parse_json(last.data), read_last_response(frames)

    async def read_input(self, caller: Caller, stored: StoredResponse) -> list[dict[str, Any]]:
        """The items of its request, each with an id. Raises: as `read_context`."""
        named = [(f"input[{index}]", item) for index, item in enumerate(stored.input)]
        resolved = [item async for _, item in self._resolve(caller, named)]
        return [_describe_input(item, stored.stream_id, place) for place, item in enumerate(resolved)]

    async def read_context(self, caller: Caller, previous: str | None, items: list[NamedItem]) -> list[NamedItem]:
        """The items of all responses from the first to `previous`, and then `items`, without item references.

        Raises: ApiError 404 if one of them is missing or is not this caller's; ApiError 400;
        BrokerUnavailableError, BrokerRefusedError.
        """
        turns: list[list[NamedItem]] = [items]
        size = 0
        while previous is not None:
            stored = await self._find_own(caller, stream_id_of(previous))
            if stored is None:
                raise _no_previous(previous)
            if not stored.record.status.is_final:
                raise invalid("previous_response_id", "has not ended")
            turn = [*stored.input, *_continued(await self.describe(stored))]
            size += len(encode_json(turn))
            if size > self._context_limit_bytes:
                text = f"The conversation has more than {self._context_limit_bytes} bytes."
                raise ApiError(400, "context_length_exceeded", text, param="previous_response_id")
            turns.append([("previous_response_id", item) for item in turn])
            previous = stored.previous
        named = [each for turn in reversed(turns) for each in turn]
        return [each async for each in self._resolve(caller, named)]

    async def _find_own(self, caller: Caller, stream_id: str | None) -> StoredResponse | None:
        stored = None if stream_id is None else await self.find(stream_id)
        if stored is None or not stored.is_kept or not caller.owns(stored.record.caller):
            return None
        return stored

    async def _resolve(self, caller: Caller, items: list[NamedItem]) -> Any:
        """Replaces each reference by the item that it names. Each response is read once."""
        known: dict[str, list[dict[str, Any]]] = {}
        for where, item in items:
            if item.get("type") != "item_reference":
                yield where, item
                continue
            named = str(item.get("id"))
            parsed = parse_item_id(named)
            if parsed is not None and parsed.stream_id not in known:
                known[parsed.stream_id] = await self._items_of(caller, parsed.stream_id)
            found = known[parsed.stream_id] if parsed is not None else []
            referred = next((each for each in found if each.get("id") == named), None)
            if referred is None:
                text = f"Item with id '{named[:PARAM_LIMIT_CHARS]}' not found."
                raise ApiError(404, "item_not_found", text, param=f"{where}.id")
            yield where, referred

    async def _items_of(self, caller: Caller, stream_id: str) -> list[dict[str, Any]]:
        stored = await self._find_own(caller, stream_id)
        if stored is None:
            return []
        described = [_describe_input(item, stream_id, place) for place, item in enumerate(stored.input)]
        response = await self.describe(stored)
        return [*described, *response["output"]]


def _continued(response: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for item in response["output"]:
        if item["status"] == "completed" or item["type"] in _NOT_CUT:
            yield item


def _describe_input(item: Item, stream_id: str, place: int) -> dict[str, Any]:
    """An item as `input_items` shows it: with an id, a status, and content in parts."""
    kind = str(item.get("type") or "message")
    described: dict[str, Any] = {"id": write_item_id(kind, stream_id, INPUT_EPOCH, place), "status": "completed"}
    # Null in a request is the same as no field.
    described.update({name: value for name, value in item.items() if value is not None})
    described["type"] = kind
    if kind == "message" and isinstance(described.get("content"), str):
        is_assistants = described.get("role") == "assistant"
        extra: dict[str, Any] = {"annotations": []} if is_assistants else {}
        part_type = "output_text" if is_assistants else "input_text"
        described["content"] = [{"type": part_type, "text": described["content"], **extra}]
    return described


def no_such_response(response_id: str = "") -> ApiError:
    """The same for a response that never existed, has expired or been deleted, was not stored, or is another's."""
    text = f"Response with id '{response_id[:PARAM_LIMIT_CHARS]}' not found."
    return ApiError(404, "response_not_found", text, param="response_id")


def _no_previous(response_id: str) -> ApiError:
    text = f"Previous response with id '{response_id[:PARAM_LIMIT_CHARS]}' not found."
    return ApiError(404, "previous_response_not_found", text, param="previous_response_id")
