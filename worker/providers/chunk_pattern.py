"""Recognises chunks that repeat an earlier one with another text, without parsing them. Pure: no I/O.

A provider sends the same JSON for each chunk, in which only the text changes (and the random `obfuscation` of OpenAI).
To parse that JSON, compare it with the first chunk and write it again is most of what a worker spends on a chunk.
"""

import json
import re
from secrets import token_hex
from typing import NamedTuple

from contract.event import LINE_SEPARATORS, Chunk, encode_json

_STRING = rb'([^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*)'
"""The inside of a JSON string (RFC 8259, section 7)."""
_TEXTS = frozenset({"content", "refusal", "reasoning", "reasoning_content"})
MAX_TRIES = 16
"""A provider whose chunks follow no pattern costs no more than this many comparisons."""
MAX_BYTES = 16 << 10

Path = tuple[str | int, ...]


class ChunkPattern:
    """The chunks that equal `example`, apart from the texts at `paths`."""

    def __init__(self, example: Chunk, paths: tuple[Path, ...], expression: re.Pattern[bytes]) -> None:
        self._example = encode_json(example)
        self._paths = paths
        self._match = expression.fullmatch

    @property
    def texts(self) -> int:
        return len(self._paths)

    def match(self, data: bytes) -> "SimilarChunk | None":
        """The chunk in `data`, if it follows the pattern. `data` is one line."""
        found = self._match(data)
        if found is None:
            return None
        if not data.isascii():
            try:
                text = data.decode()
            except UnicodeDecodeError:
                return None
            if LINE_SEPARATORS.search(text):
                return None
        return SimilarChunk(self, found.groups())

    def chunk_with(self, texts: tuple[bytes, ...]) -> Chunk:
        """The chunk with the given insides of JSON strings."""
        chunk: Chunk = json.loads(self._example)
        for path, text in zip(self._paths, texts, strict=True):
            _put(chunk, path, json.loads(b'"%b"' % text))
        return chunk


class SimilarChunk(NamedTuple):
    """A chunk that follows a pattern. `texts` are the insides of its JSON strings, in the provider's bytes."""

    pattern: ChunkPattern
    texts: tuple[bytes, ...]

    def whole(self) -> Chunk:
        return self.pattern.chunk_with(self.texts)


class PatternFinder:
    """Finds the pattern of a stream. Call `learn` with each chunk that `pattern` does not match."""

    def __init__(self) -> None:
        self.pattern: ChunkPattern | None = None
        self._last: Chunk | None = None
        self._tries_left = MAX_TRIES

    def learn(self, data: bytes, chunk: Chunk) -> None:
        """Compares a chunk, and its bytes, with the one before it."""
        last, self._last = self._last, chunk
        if last is None or not self._tries_left or len(data) > MAX_BYTES:
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
    pattern = ChunkPattern(chunk, paths, re.compile(_STRING.join(map(re.escape, parts))))
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
