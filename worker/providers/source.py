"""The plug-in point: the interface of a source of chunks."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from contract.event import Chunk, Kind
from contract.worker_registry import Model, ProviderState
from worker.providers.chunk_pattern import SimilarChunk

END: Chunk = {}
"""The last item of a source whose provider has said that the answer is complete, as `[DONE]` does. It is not a
chunk."""


SILENT = "silent"
"""The argument of the CancelledError in a source that yielded nothing for longer than the chunk timeout."""


@dataclass(frozen=True, slots=True)
class ChunkTimeout:
    """An item of a source that is not a chunk: it replaces MANYCAST_CHUNK_TIMEOUT_S for this run (0: no limit)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An item of a script's answer that is not a chunk, but an event of its own. `waits`: the source goes on only when
    Redis has it."""

    kind: Kind
    data: dict[str, Any]
    waits: bool


class ParkedError(Exception):
    """Ends the answer of a script, to be continued when somebody answers one of `questions` (ids), or at `alarm_ms`
    (Unix; 0: never)."""

    def __init__(self, questions: tuple[str, ...], alarm_ms: int) -> None:
        super().__init__("the run waits for a person")
        self.questions = questions
        self.alarm_ms = alarm_ms


Answer = AsyncGenerator[Chunk | SimilarChunk | ChunkTimeout | LogEntry | None, None]

LINGER_S = 5.0
"""How long a complete answer waits for its usage."""


class Source(Protocol):
    """A source of chunks. One object serves all runs of the process."""

    def generate(self, request: dict[str, Any]) -> Answer:
        """The answer to an OpenAI chat-completions body, chunk by chunk. Closing it stops the provider at once.

        The body may also contain the field `manycast` (contract.passed), which is not for the provider.

        The first chunk may take any time. After it the worker's chunk timeout applies to the time between two yields;
        a ChunkTimeout replaces it. None is a sign of life without a chunk. An answer is complete if each choice has a
        finish reason, or if END comes last.

        Raises: contract.errors.RunFailedError to end the run with a reason; anything else ends it as `worker_error`.
        """

    def forward(self, endpoint: str, request: dict[str, Any]) -> Answer:
        """The answer to a pass-through call: `endpoint` is `embeddings`, `completions` or `moderations`.

        Yields the provider's chunks if the request asks for a stream, else pieces of the body (`whole_body.FIELD`), and
        END last. None, closing and errors: as `generate`.
        """

    async def list_models(self) -> tuple[Model, ...]:
        """The models on offer; empty if unknown. Called every ten seconds. Must not raise."""

    def describe(self) -> tuple[ProviderState, ...]:
        """Its providers, as the last listing of models found them."""

    async def close(self) -> None:
        """Closes its connections."""


class ScriptAnswers(Protocol):
    """The answers of models that are scripts. One object serves all runs of the process."""

    def answers(self, model: str) -> bool:
        """Whether the model is a script."""

    def run(self, request: dict[str, Any], stream_id: str, epoch: int) -> Answer:
        """The answer of a script, as `Source.generate` gives it. In a later epoch it goes on from the run's log.

        Raises: RunFailedError, ParkedError.
        """


class SourceNotFoundError(Exception):
    """MANYCAST_GENERATOR names no source, or the source lacks a setting. The text is for the operator."""
