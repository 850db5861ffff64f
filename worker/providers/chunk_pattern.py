"""Recognises chunks that repeat an earlier one with another text, without parsing them. Pure: no I/O.

A provider sends the same JSON for each chunk, in which only the text changes (and the random `obfuscation` of OpenAI).
To parse that JSON, compare it with the first chunk and write it again is most of what a worker spends on a chunk.
"""

import json
import re
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import NamedTuple

from contract.event import LINE_SEPARATORS, Chunk, encode_json

_STRING = rb'([^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*)'
"""The inside of a JSON string (RFC 8259, section 7)."""
_match_string = re.compile(_STRING).match
_TEXTS = frozenset({"content", "refusal", "reasoning", "reasoning_content"})
MAX_TRIES = 16
"""A provider whose chunks follow no pattern costs no more than this many comparisons."""
MAX_BYTES = 16 << 10

FRAME_START, FRAME_END = b"data: ", b"\n\n"
"""Around a chunk in a stream of events, as providers usually write them."""

Path = tuple[str | int, ...]
Texts = tuple[bytes, ...]
"""The insides of a chunk's JSON strings, in the provider's bytes."""


class ChunkPattern:
    """The chunks that equal `example`, apart from the texts at `paths`. `parts` are the bytes around the texts.

    `taker` may be set by whoever got the last chunk of the pattern. It takes the texts of further chunks as soon as
    they arrive, or returns False: then they come as all others do.
    """

    def __init__(self, example: Chunk, paths: tuple[Path, ...], parts: Sequence[bytes]) -> None:
        self.taker: Callable[[list[Texts]], bool] | None = None
        self._example = encode_json(example)
        self._paths = paths
        first, *between, last = parts
        self._bare = (first, *between), last
        self._framed = (FRAME_START + first, *between), last + FRAME_END

    @property
    def texts(self) -> int:
        return len(self._paths)

    def match(self, data: bytes) -> "SimilarChunk | None":
        """The chunk in `data`, if it follows the pattern. `data` is one line."""
        found = _match_at(data, 0, *self._bare)
        if found is None or found[1] != len(data) or not _may_be_logged(data):
            return None
        return SimilarChunk(self, found[0])

    def match_frames(self, piece: bytes) -> list[Texts] | None:
        """The chunks in `piece`, if it consists of whole frames with chunks of the pattern and nothing else."""
        if not _may_be_logged(piece):
            return None
        chunks: list[Texts] = []
        at, end = 0, len(piece)
        before, last = self._framed
        while at < end:
            found = _match_at(piece, at, before, last)
            if found is None:
                return None
            texts, at = found
            chunks.append(texts)
        return chunks

    def chunk_with(self, texts: tuple[bytes, ...]) -> Chunk:
        """The chunk with the given insides of JSON strings."""
        chunk: Chunk = json.loads(self._example)
        for path, text in zip(self._paths, texts, strict=True):
            _put(chunk, path, json.loads(b'"%b"' % text))
        return chunk


def _may_be_logged(data: bytes) -> bool:
    """Whether the log may hold the bytes as they are."""
    if data.isascii():
        return True
    try:
        return LINE_SEPARATORS.search(data.decode()) is None
    except UnicodeDecodeError:
        return False


def _match_at(data: bytes, at: int, before: tuple[bytes, ...], last: bytes) -> tuple[Texts, int] | None:
    """The texts of the chunk that begins at `at`, and where it ends. `before` are the parts before each text."""
    texts = []
    for part in before:
        if not data.startswith(part, at):
            return None
        # It always matches, at least nothing. The part after it begins with the quotation mark that ends the string.
        start = at + len(part)
        at = _match_string(data, start).end()  # type: ignore[union-attr]
        texts.append(data[start:at])
    return (tuple(texts), at + len(last)) if data.startswith(last, at) else None


class SimilarChunk(NamedTuple):
    """A chunk that follows a pattern."""

    pattern: ChunkPattern
    texts: Texts

    def whole(self) -> Chunk:
        return self.pattern.chunk_with(self.texts)


class PatternFinder:
    """Finds the pattern of a stream. Call `learn` with each chunk that `pattern` does not match."""

    def __init__(self) -> None:
        self.pattern: ChunkPattern | None = None
        self._last: Chunk | None = None
        self._tries_left = MAX_TRIES

    def learn(self, data: bytes, chunk: Chunk) -> None:
        """Compares a chunk, and its bytes, with the one before it. Bytes of several lines are no pattern."""
        last, self._last = self._last, chunk
        if last is None or not self._tries_left or len(data) > MAX_BYTES or b"\n" in data:
            return
        paths = _changing_texts(last, chunk)
        if paths:
            self._tries_left -= 1
            self.pattern = _new_pattern(data, chunk, paths) or self.pattern


def _changing_texts(last: Chunk, chunk: Chunk) -> tuple[Path, ...]:
    """The paths of the texts that differ from chunk to chunk. Empty if the chunk is not a plain piece of text."""
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return ()
    delta = choices[0].get("delta")
    if not isinstance(delta, dict):
        return ()
    spoken = [name for name, value in delta.items() if name in _TEXTS and isinstance(value, str) and value]
    if len(spoken) != 1:
        return ()
    paths: list[Path] = []
    for name, value in chunk.items():
        if name == "choices":
            paths.append(("choices", 0, "delta", spoken[0]))
        elif isinstance(value, str) and isinstance(last.get(name), str) and last[name] != value:
            paths.append((name,))
    return tuple(paths)


def _new_pattern(data: bytes, chunk: Chunk, paths: tuple[Path, ...]) -> ChunkPattern | None:
    """None if the texts cannot be located in the bytes."""
    parts: list[bytes] = []
    at = 0
    for path in paths:
        name = re.escape(encode_json(path[-1]))
        found = re.compile(name + rb'[ ]?:[ ]?"' + _STRING + rb'"').search(data, at)
        if found is None:
            return None
        parts.append(data[at : found.start(1)])
        at = found.end(1)
    parts.append(data[at:])
    pattern = ChunkPattern(chunk, paths, parts)
    # The search may have found a field of the same name elsewhere. To find out, put other texts into these places and
    # parse the result.
    marks = new_marks(len(paths))
    marked = b"".join(part for pair in zip(parts, (*marks, b""), strict=True) for part in pair)
    try:
        is_right = encode_json(json.loads(marked)) == encode_json(pattern.chunk_with(marks))
    except ValueError:
        # The chunk holds NaN, which JSON does not have.
        return None
    return pattern if is_right else None


def new_marks(count: int) -> tuple[bytes, ...]:
    """Texts that occur nowhere else."""
    return tuple(token_hex(8).encode() for _ in range(count))


def _put(chunk: Chunk, path: Path, value: object) -> None:
    target: object = chunk
    for step in path[:-1]:
        target = target[step]  # type: ignore[index]
    target[path[-1]] = value  # type: ignore[index]
