"""Writes the log lines of similar chunks without building and encoding the chunks. Pure: no I/O."""

from typing import TypeGuard

from contract.event import Chunk, Kind, chunk_difference, encode_json, entry_line
from worker.providers.chunk_pattern import ChunkPattern, SimilarChunk, Texts, new_marks


class LineTemplate:
    """The lines of the chunks of `pattern`. They differ only in their texts, as the chunks do.

    `shared` are the fields in the run's `start`.
    """

    def __init__(self, pattern: ChunkPattern, shared: Chunk) -> None:
        self.pattern = pattern
        marks = new_marks(pattern.texts)
        line = entry_line(Kind.CHUNK, encode_json(chunk_difference(shared, pattern.chunk_with(marks))))
        line = line.replace(b"%", b"%%")
        for mark in marks:
            line = line.replace(mark, b"%b")
        self._format = line

    def fits(self, item: object) -> TypeGuard[SimilarChunk]:
        return type(item) is SimilarChunk and item.pattern is self.pattern

    def line_of(self, texts: Texts) -> bytes:
        """The line of a chunk of the pattern. It is the JSON of `chunk_difference`, with the provider's escapes."""
        return self._format % texts
