"""The settings from the environment. `__main__` reads them once; no other module reads the environment."""

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is read from the environment variable `SIMULATOR_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="SIMULATOR_", env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8100, ge=0, le=65535, description="0 selects a free port; the address is printed")
    first_chunk_ms: float = Field(default=350, ge=0, le=600_000)
    chunks_per_s: float = Field(default=60, ge=0, le=1_000_000, description="0 means without pauses")
    bill_file: Path | None = Field(default=None, description="gets a line for each answered call")
    jitter: float = Field(
        default=0.3, ge=0, le=1, description="the largest random shift of a chunk, as a share of a pause"
    )


def read_settings() -> Settings:
    """Reads the environment.

    Raises: ValueError with one line that names each malformed variable and the reason.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = (f"SIMULATOR_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise ValueError("; ".join(wrong)) from None
