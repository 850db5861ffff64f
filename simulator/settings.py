"""What the environment may set. Read once, in `__main__`; nothing else looks at the environment."""

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every field is the environment variable `SIMULATOR_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="SIMULATOR_", env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8100, ge=0, le=65535, description="0 takes a free one; the address is printed")
    first_chunk_ms: float = Field(default=350, ge=0, le=600_000)
    chunks_per_s: float = Field(default=60, ge=0, le=1_000_000, description="0 means without pauses")
    jitter: float = Field(default=0.3, ge=0, le=1, description="share of a pause that chance may move a chunk")


def read_settings() -> Settings:
    """Reads the environment.

    Raises: ValueError with one line that names each variable that cannot be used, and why.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = (f"SIMULATOR_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise ValueError("; ".join(wrong)) from None
