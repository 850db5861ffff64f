"""Computes when each chunk is due, in seconds from the start of the request. No clock, no sleeping."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, repeat


@dataclass(frozen=True, slots=True)
class Pace:
    """`first_chunk_ms` >= 0; `chunks_per_s` >= 0, where 0 means without pauses; `jitter` from 0 to 1."""

    first_chunk_ms: float
    chunks_per_s: float
    jitter: float

    def due_seconds(self, seed: int | None) -> Iterator[float]:
        """Yields without end the time at which each chunk is due. The times never decrease.

        The same seed gives the same times. The schedule is absolute: jitter moves only one chunk, and a late chunk does
        not delay later ones. The first two chunks are due together, since providers send the role with the first text.
        """
        chance = random.Random(seed)  # noqa: S311 - a pace, not a secret
        first = self.first_chunk_ms / 1000 * (1 + self.jitter * (chance.random() - 0.5))
        yield first
        if self.chunks_per_s == 0:
            yield from repeat(first)
        pause = 1 / self.chunks_per_s
        yield first
        for number in count(1):
            # Jitter moves a chunk by at most half a pause, so that no chunk can overtake its neighbour.
            yield first + (number + self.jitter * (chance.random() - 0.5)) * pause


WITHOUT_PAUSES = Pace(first_chunk_ms=0, chunks_per_s=0, jitter=0)
