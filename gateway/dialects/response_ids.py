"""The ids of responses and of their items, in the Responses dialect. No I/O.

They follow from the stream's id, so that every gateway makes the same ones and finds the stream of each.
"""

import re
from typing import NamedTuple

from contract.stream_id import is_stream_id

_RESPONSE = "resp_"
_ITEM = re.compile(r"(msg|rs|fc|fco|item)_(.+)_(0|[1-9][0-9]{0,8})_(0|[1-9][0-9]{0,8})")
INPUT_EPOCH = 0
"""Stands in the ids of input items, which no attempt has written."""

ITEM_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "function_call_output": "fco"}


class ItemId(NamedTuple):
    """The item at a place in the input (epoch 0) or in the output of an attempt."""

    stream_id: str
    epoch: int
    place: int


def response_id_of(stream_id: str) -> str:
    return _RESPONSE + stream_id


def stream_id_of(response_id: str) -> str | None:
    """None if `response_id` is not one of ours."""
    stream_id = response_id.removeprefix(_RESPONSE)
    return stream_id if stream_id != response_id and is_stream_id(stream_id) else None


def write_item_id(kind: str, stream_id: str, epoch: int, place: int) -> str:
    """`kind` is the item's type."""
    return f"{ITEM_PREFIXES.get(kind, 'item')}_{stream_id}_{epoch}_{place}"


def parse_item_id(text: str) -> ItemId | None:
    """None if `text` is not an id of ours."""
    match = _ITEM.fullmatch(text)
    if match is None or not is_stream_id(match[2]):
        return None
    return ItemId(match[2], int(match[3]), int(match[4]))
