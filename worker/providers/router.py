"""The source of chunks for several providers: asks the one that has the model, and another one if that fails."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace
from typing import Any, Protocol

from contract.errors import RunFailedError
from contract.worker_registry import Model, ProviderState
from worker.providers.errors import unknown_model
from worker.providers.openai_source import OpenAISource, ProviderFailedError
from worker.providers.provider_table import CallOptions, Provider, ProviderTableError, load_providers
from worker.providers.source import Answer, SourceNotFoundError
from worker.settings import OPENAI_URL, Settings

logger = logging.getLogger(__name__)

LIST_EVERY_S = 300.0
SHOWN_PATTERNS = 20
NO_MODEL = "The request names no model, and the provider lists none for chats. Set MANYCAST_DEFAULT_MODEL (worker)."
SHOWN_CHARS = 128
_NO_LIMIT = nullcontext()
_DEFAULT_MODELS = {"moderations": "omni-moderation-latest"}
"""The model that OpenAI takes if a request names none, by endpoint."""


class _Ask(Protocol):
    def __call__(self, source: OpenAISource, *, has_fallback: bool) -> Answer: ...


def open_source(settings: Settings) -> "ProviderRouter":
    """Raises: SourceNotFoundError if no provider is configured, or the table of providers cannot be used."""
    providers = configured_providers(settings)
    first_chunk = settings.silence_before_first_chunk

    def default_options(model: str) -> CallOptions:
        return CallOptions(first_chunk_timeout_s=first_chunk.of(model))

    def connect(provider: Provider) -> OpenAISource:
        return OpenAISource(
            provider,
            default_options=default_options,
            connect_timeout_s=settings.connect_timeout_s,
            retries=settings.provider_retries if provider.retries is None else provider.retries,
            retries_timeouts=settings.retry_timeouts,
            uses_proxy_for_private=settings.proxy_private,
        )

    router = ProviderRouter(providers, connect)
    if settings.providers is not None and settings.default_model and not router.knows(settings.default_model):
        logger.warning("no provider has the default model, MANYCAST_DEFAULT_MODEL=%s", settings.default_model)
    return router


def configured_providers(settings: Settings) -> tuple[Provider, ...]:
    """The providers of the table, or the one of OPENAI_BASE_URL and OPENAI_API_KEY. Raises: SourceNotFoundError."""
    if settings.providers is not None:
        try:
            return load_providers(settings.providers, settings.all_variables)
        except ProviderTableError as error:
            raise SourceNotFoundError(f"MANYCAST_PROVIDERS: {error}") from error
    key, url = settings.openai_api_key, settings.openai_base_url
    if not key and not url:
        raise SourceNotFoundError(
            "set OPENAI_API_KEY, or OPENAI_BASE_URL for a provider that needs no key, or MANYCAST_PROVIDERS for several"
        )
    # No breaker: there is no fallback, and each failure is reported in the provider's own words.
    provider = Provider(models=("*",), breaker_failures=0).with_key(key)
    # `model_copy` does not validate: any base URL that OpenAI's SDK accepts is accepted here.
    return (provider.model_copy(update={"base_url": url or OPENAI_URL}),)


class ProviderRouter:
    """Implements worker.providers.source.Source."""

    def __init__(self, providers: Sequence[Provider], connect: Callable[[Provider], OpenAISource]) -> None:
        self._sources = {provider.name: connect(provider) for provider in providers}
        self._slots = {one.name: asyncio.Semaphore(one.runs_at_once) for one in providers if one.runs_at_once}
        self._listed: dict[str, tuple[Model, ...]] = {}
        self._listed_at: dict[str, float] = {}

    def knows(self, model: str) -> bool:
        return self._provider_of(model) is not None

    def generate(self, request: dict[str, Any]) -> Answer:
        """See worker.providers.source.Source. Raises: RunFailedError."""
        if not request.get("model"):
            raise RunFailedError(unknown_model(NO_MODEL))
        chain = self._chain_for(str(request["model"]))

        def ask(source: OpenAISource, *, has_fallback: bool) -> Answer:
            return source.generate(request, has_fallback=has_fallback)

        return self._ask_each(chain, ask)

    def forward(self, endpoint: str, request: dict[str, Any]) -> Answer:
        """See worker.providers.source.Source. Raises: RunFailedError."""
        chain = self._chain_for(str(request.get("model") or _DEFAULT_MODELS.get(endpoint, "")))

        def ask(source: OpenAISource, *, has_fallback: bool) -> Answer:
            return source.forward(endpoint, request, has_fallback=has_fallback)

        # A fallback's other model would give vectors that cannot be compared with earlier ones, and nobody would
        # notice.
        return self._ask_each(chain[:1] if endpoint == "embeddings" else chain, ask)

    async def _ask_each(self, chain: list[OpenAISource], ask: "_Ask") -> Answer:
        """Asks the next provider if one has failed. Raises: RunFailedError."""
        while chain:
            source = chain.pop(0)
            try:
                answer = ask(source, has_fallback=bool(chain))
                async with self._slots.get(source.provider.name, _NO_LIMIT), aclosing(answer):
                    async for item in answer:
                        yield item
            except ProviderFailedError as failure:
                if not chain or not failure.elsewhere:
                    raise
                names = source.provider.name, chain[0].provider.name
                logger.warning("provider '%s' failed, asking '%s': %s", *names, failure.error.message)
            else:
                return

    def _provider_of(self, model: str) -> Provider | None:
        return next((one.provider for one in self._sources.values() if one.provider.answers(model)), None)

    def _chain_for(self, model: str) -> list[OpenAISource]:
        """The providers to ask, in order. Raises: RunFailedError if there is none."""
        provider = self._provider_of(model)
        if provider is None:
            raise RunFailedError(unknown_model(self._describe_unknown(model)))
        return [self._sources[name] for name in (provider.name, *provider.fallback)]

    def _describe_unknown(self, model: str) -> str:
        patterns = list(dict.fromkeys(pattern for one in self._sources.values() for pattern in one.provider.models))
        shown = ", ".join(pattern[:SHOWN_CHARS] for pattern in patterns[:SHOWN_PATTERNS])
        more = ", …" if len(patterns) > SHOWN_PATTERNS else ""
        return f"No provider has the model '{model[:SHOWN_CHARS]}'. There are: {shown}{more}."

    async def list_models(self) -> tuple[Model, ...]:
        """The models of all providers, in the callers' names. A provider that has listed some is asked again after
        LIST_EVERY_S, and keeps its last list if it then fails."""
        lists = await asyncio.gather(*(self._list(source) for source in self._sources.values()))
        found: dict[str, Model] = {}
        for models in lists:
            for model in models:
                found.setdefault(model.id, model)
        return tuple(found.values())

    async def _list(self, source: OpenAISource) -> list[Model]:
        provider = source.provider
        now, name = time.monotonic(), provider.name
        # Azure lists the models that it could deploy, and not those that are deployed.
        if not provider.azure and now - self._listed_at.get(name, -math.inf) >= LIST_EVERY_S:
            listed = await source.list_models()
            if listed:
                self._listed[name], self._listed_at[name] = listed, now
        offered = [
            replace(model, id=given)
            for model in self._listed.get(name, ())
            for given in provider.callers_names_of(model.id)
        ]
        offered += [Model(given, name, 0) for given in provider.named_models()]
        return [model for model in offered if self._provider_of(model.id) is provider]

    def describe(self) -> tuple[ProviderState, ...]:
        """See worker.providers.source.Source."""
        return tuple(source.describe() for source in self._sources.values())

    async def close(self) -> None:
        for source in self._sources.values():
            await source.close()
