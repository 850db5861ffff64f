"""The worker's settings, from the environment. docs/operations.md lists them."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


def _redis_address(url: str) -> str:
    """Raises: ValueError, where redis-py would only do so much later."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("it must begin with redis://, rediss:// or unix://")
    # To ask for the port is to have it read.
    _ = parts.port
    return url


class Settings(BaseSettings):
    """Times end in `_s` (seconds), sizes in `_bytes`. An empty variable counts as unset."""

    model_config = SettingsConfigDict(env_prefix="MANYCAST_", env_ignore_empty=True, extra="ignore")

    redis_url: Annotated[str, AfterValidator(_redis_address)] = Field(
        "redis://127.0.0.1:6379/0", validation_alias="REDIS_URL"
    )
    openai_api_key: str = Field("", validation_alias="OPENAI_API_KEY")
    openai_base_url: str = Field("", validation_alias="OPENAI_BASE_URL")

    default_model: str = "gpt-4o-mini"
    generator: str = "worker.providers.openai_source:open_source"
    worker_streams: int = Field(100, ge=1)

    lease_s: float = Field(10.0, gt=0)
    attempts: int = Field(2, ge=1)
    most_epochs: int = Field(10, ge=1)
    retention_s: int = Field(86400, ge=1)

    connect_timeout_s: float = Field(5.0, gt=0)
    first_chunk_timeout_s: float = Field(120.0, gt=0)
    chunk_timeout_s: float = Field(60.0, gt=0)
    provider_retries: int = Field(2, ge=0)

    answer_limit_bytes: int = Field(16 << 20, ge=0)
    run_limit_s: float = Field(3600.0, ge=0)
    unsent_limit_bytes: int = Field(64 << 20, ge=1 << 16)
    broker_patience_s: float = Field(60.0, ge=0)
    grace_s: float = Field(20.0, ge=0)
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")


class MalformedSettingError(Exception):
    """Names the variable to blame, and what is wrong with it."""


def read_settings() -> Settings:
    """Raises: MalformedSettingError."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        # pydantic names a field by its alias where it has one, else by itself.
        name = str(first["loc"][0])
        name = name if name.isupper() else f"MANYCAST_{name.upper()}"
        # An address may hold a password.
        value = "" if name == "REDIS_URL" else f"={first['input']}"
        raise MalformedSettingError(f"{name}{value}: {first['msg']}") from None
