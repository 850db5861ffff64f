"""The worker's settings, from the environment. docs/operations.md lists them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from contract.keys import PREFIX
from contract.settings import LogLevel, PartitionCount, Prefix, RedisUrl, ServiceSettings
from worker.model_timeouts import ModelTimeouts, parse_patterns

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_DEFAULT_MODEL = "gpt-4o-mini"
PROVIDERS_GENERATOR = "worker.providers.router:open_source"


class Settings(ServiceSettings):
    """A limit of 0 means no limit, where 0 is allowed."""

    redis_url: RedisUrl = Field("redis://127.0.0.1:6379/0", validation_alias="REDIS_URL", repr=False)
    prefix: Prefix = PREFIX
    partitions: PartitionCount | None = None
    openai_api_key: str = Field("", validation_alias="OPENAI_API_KEY", repr=False)
    openai_base_url: str = Field("", validation_alias="OPENAI_BASE_URL", repr=False)
    providers: Path | None = None

    default_model: str = ""
    generator: str = PROVIDERS_GENERATOR
    scripts: str = ""
    script_calls: int = Field(1000, ge=1)
    script_changed: Literal["fail", "restart"] = "fail"
    parked_s: int = Field(604800, ge=1)
    worker_streams: int = Field(100, ge=1)
    worker_processes: int = Field(1, ge=1)

    lease_s: float = Field(10.0, gt=0)
    attempts: int = Field(2, ge=1)
    most_epochs: int = Field(10, ge=1)
    retention_s: int = Field(86400, ge=1)
    failed_retention_s: int = Field(3600, ge=1)

    connect_timeout_s: float = Field(5.0, gt=0)
    first_chunk_timeout_s: float = Field(120.0, ge=0)
    first_chunk_timeouts: str = ""
    chunk_timeout_s: float = Field(60.0, ge=0)
    chunk_timeouts: str = ""
    provider_retries: int = Field(2, ge=0)
    retry_timeouts: bool = False
    proxy_private: bool = False
    strict_finish: bool = False

    answer_limit_bytes: int = Field(16 << 20, ge=0)
    pass_through_limit_bytes: int = Field(64 << 20, ge=0)
    run_limit_s: float = Field(3600.0, ge=0)
    unsent_limit_bytes: int = Field(64 << 20, ge=1 << 16)
    broker_patience_s: float = Field(60.0, ge=0)
    grace_s: float = Field(20.0, ge=0)
    log_level: LogLevel = "info"

    @property
    def fixed_default_model(self) -> str:
        """The model of requests that name none. Empty: the first one that the provider lists."""
        is_openai = self.providers is None and self.openai_base_url.rstrip("/") in ("", OPENAI_URL)
        return self.default_model or (OPENAI_DEFAULT_MODEL if is_openai else "")

    @property
    def own_generator(self) -> str:
        """The generator that a user has written. Empty if there is none."""
        return "" if self.generator == PROVIDERS_GENERATOR else self.generator

    @property
    def all_variables(self) -> Mapping[str, str]:
        """The environment. The table of providers may name variables with keys."""
        return os.environ

    @property
    def silence_before_first_chunk(self) -> ModelTimeouts:
        return ModelTimeouts(self.first_chunk_timeout_s, parse_patterns(self.first_chunk_timeouts))

    @property
    def silence_after_first_chunk(self) -> ModelTimeouts:
        return ModelTimeouts(self.chunk_timeout_s, parse_patterns(self.chunk_timeouts))

    @field_validator("first_chunk_timeouts", "chunk_timeouts")
    @classmethod
    def _check_patterns(cls, text: str) -> str:
        parse_patterns(text)
        return text
