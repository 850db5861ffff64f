"""What a provider wants back with the results of tools, as `encrypted_content` of a reasoning item. No I/O.

Clients return the field unread. It is not encrypted: it contains what the provider has sent to this caller.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from contract.event import encode_json
from gateway.dialects.vendor_fields import REASONING_FIELDS

_PREFIX = "manycast."


def write_thoughts(field: str, details: list[dict[str, Any]]) -> str | None:
    """`field`: in which the thoughts came, "" if there was none; `details`: OpenRouter's `reasoning_details`."""
    kept = {**({"field": field} if field else {}), **({"reasoning_details": details} if details else {})}
    return _PREFIX + urlsafe_b64encode(encode_json(kept)).decode() if kept else None


def read_thoughts(item: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an assistant's message that a reasoning item stands for; none if another server wrote it."""
    content = item.get("encrypted_content")
    if not isinstance(content, str) or not content.startswith(_PREFIX):
        return {}
    try:
        kept = json.loads(urlsafe_b64decode(content.removeprefix(_PREFIX)))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(kept, dict):
        return {}
    thoughts: dict[str, Any] = {}
    if kept.get("field") in REASONING_FIELDS:
        thoughts[kept["field"]] = _text(item.get("summary")) or _text(item.get("content"))
    if isinstance(details := kept.get("reasoning_details"), list) and details:
        thoughts["reasoning_details"] = details
    return thoughts


def _text(parts: object) -> str:
    found = parts if isinstance(parts, list) else []
    return "".join(part["text"] for part in found if isinstance(part, dict) and isinstance(part.get("text"), str))
