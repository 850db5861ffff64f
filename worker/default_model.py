"""The model of requests that name none: the configured one, or the first for chats that the provider lists."""

import asyncio
import re
from collections.abc import Sequence

from contract.worker_registry import Model

LISTING_PATIENCE_S = 15.0

_NOT_FOR_CHATS = re.compile(
    r"(?:^|[^a-z])(?:"
    r"embed(?:ding)?s?|bge|e5|gte|minilm|(?:re)?rank(?:er)?|colbert|moderations?|guard|shield"
    r"|whisper|transcribe|tts|speech|parakeet|realtime|dall-?e|image|imagen|sora|veo|stable-?diffusion|sdxl|flux"
    r"|davinci|babbage"
    r")(?:$|[^a-z])"
)
"""Words in the names of models for embeddings, ranking, moderation, speech, pictures, or text completions only. The
lists of providers do not say what a model can do."""


class DefaultModel:
    """One object for all runs of a worker. `fixed`: the configured model, or empty."""

    def __init__(self, fixed: str) -> None:
        self.name = fixed
        """Empty while it is not known."""
        self._is_fixed = bool(fixed)
        self._listed = asyncio.Event()

    def choose_from(self, models: Sequence[Model]) -> None:
        """Called after each listing, also if it has failed and `models` is empty."""
        if models and not self._is_fixed:
            self.name = next((model.id for model in models if can_chat(model.id)), "")
        self._listed.set()

    async def find(self) -> str:
        """The name; empty if the provider lists no model for chats. Waits for the first listing if the name depends on
        it."""
        if not self.name:
            try:
                async with asyncio.timeout(LISTING_PATIENCE_S):
                    await self._listed.wait()
            except TimeoutError:
                pass
        return self.name


def can_chat(model: str) -> bool:
    """Whether nothing in the model's name says that it does something else."""
    return _NOT_FOR_CHATS.search(model.lower()) is None
