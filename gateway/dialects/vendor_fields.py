"""Reads what chunks may contain beside text and calls: sources, images, audio, usage in detail, thoughts. No I/O.

A provider wrote the chunks, so no shape is certain. What has another shape is ignored.
"""

import mimetypes
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

Fields = Mapping[str, Any]

REASONING_FIELDS = ("reasoning_content", "reasoning")
"""The names of a model's thoughts. Some providers send both."""


class Source(NamedTuple):
    """A page that an answer cites."""

    url: str
    title: str | None


class File(NamedTuple):
    """A file that an answer contains. `url` may be a data URL."""

    url: str
    media_type: str


def read_sources(chunk: Fields) -> Iterator[Source]:
    """The sources in the fields of a chunk: of OpenAI and OpenRouter in the delta, of Perplexity and xAI beside it."""
    for name in ("search_results", "citations"):
        yield from _to_sources(chunk.get(name))


def read_annotations(delta: Fields) -> Iterator[Source]:
    """The sources in a delta."""
    yield from _to_sources(delta.get("annotations"))


def _to_sources(entries: object) -> Iterator[Source]:
    for entry in entries if isinstance(entries, list) else ():
        named = entry.get("url_citation", entry) if isinstance(entry, dict) else {"url": entry}
        url, title = (named.get("url"), named.get("title")) if isinstance(named, dict) else (None, None)
        # The page makes a link of it.
        if isinstance(url, str) and url.startswith(("https://", "http://")):
            yield Source(url, title if isinstance(title, str) and title else None)


def read_spoken(delta: Fields) -> str:
    """The transcript of the audio in a delta: OpenAI's speaking models send it in place of `content`."""
    audio = delta.get("audio")
    words = audio.get("transcript") if isinstance(audio, dict) else None
    return words if isinstance(words, str) else ""


def read_audio(delta: Fields) -> Fields | None:
    """The piece of audio in a delta, without its transcript: the provider's `data` is base64, and `id` comes once."""
    audio = delta.get("audio")
    if not isinstance(audio, dict) or not isinstance(audio.get("data"), str) or not audio["data"]:
        return None
    return {name: value for name, value in audio.items() if name != "transcript" and value is not None}


def read_images(delta: Fields) -> Iterator[File]:
    """The images in a delta: OpenRouter's, and those that were parts of a content."""
    lists = (delta.get(name) for name in ("images", "content_parts"))
    for entry in chain.from_iterable(entries for entries in lists if isinstance(entries, list)):
        image = entry.get("image_url") if isinstance(entry, dict) else None
        url = image.get("url") if isinstance(image, dict) else image
        if not isinstance(url, str):
            continue
        if url.startswith("data:image/"):
            yield File(url, url[len("data:") :].partition(",")[0].partition(";")[0])
        elif url.startswith(("https://", "http://")):
            name = url.partition("?")[0].rpartition("/")[2]
            guessed = mimetypes.guess_type(name)[0] or ""
            yield File(url, guessed if guessed.startswith("image/") else "image/png")


def read_usage(usage: object) -> dict[str, int]:
    """OpenAI's usage in the AI SDK's terms."""
    if not isinstance(usage, dict):
        return {}
    given, made = (usage.get(f"{name}_tokens_details") for name in ("prompt", "completion"))
    tokens = {
        "inputTokens": usage.get("prompt_tokens"),
        "outputTokens": usage.get("completion_tokens"),
        "totalTokens": usage.get("total_tokens"),
        "reasoningTokens": made.get("reasoning_tokens") if isinstance(made, dict) else None,
        "cachedInputTokens": given.get("cached_tokens") if isinstance(given, dict) else None,
    }
    return {name: count for name, count in tokens.items() if isinstance(count, int)}


def read_response_usage(usage: object) -> dict[str, Any] | None:
    """OpenAI's usage in the terms of its Responses API. None if the provider reported none."""
    if not isinstance(usage, dict):
        return None
    given, made = (_counts(usage.get(f"{name}_tokens_details")) for name in ("prompt", "completion"))
    counts = _counts(usage)
    taken, written = counts.get("prompt_tokens", 0), counts.get("completion_tokens", 0)
    cache = {"cached_tokens": given.get("cached_tokens", 0), "cache_write_tokens": given.get("cache_write_tokens", 0)}
    return {
        "input_tokens": taken,
        "input_tokens_details": cache,
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": made.get("reasoning_tokens", 0)},
        "total_tokens": counts.get("total_tokens", taken + written),
    }


def _counts(fields: object) -> dict[str, int]:
    return {name: count for name, count in fields.items() if isinstance(count, int)} if isinstance(fields, dict) else {}


def add_reasoning_details(whole: list[dict[str, Any]], pieces: object) -> None:
    """Joins the pieces of OpenRouter's `reasoning_details`: consecutive texts of one kind are one text."""
    for piece in pieces if isinstance(pieces, list) else ():
        if not isinstance(piece, dict):
            continue
        last = whole[-1] if whole else {}
        name = {"reasoning.text": "text", "reasoning.summary": "summary"}.get(str(piece.get("type")))
        if name is None or last.get("type") != piece.get("type") or last.get("index") != piece.get("index"):
            whole.append(dict(piece))
            continue
        for field, value in piece.items():
            if field == name and isinstance(value, str):
                last[field] = str(last.get(field) or "") + value
            elif value is not None and last.get(field) is None:
                last[field] = value
