"""What the environment says to the command. Read once, in `__main__`. docs/operations.md lists it."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Options of the command line win over these. An empty variable counts as one that is not set."""

    model_config = SettingsConfigDict(env_prefix="MANYCAST_", env_ignore_empty=True, extra="ignore")

    redis_url: str | None = Field(None, validation_alias="REDIS_URL")
    openai_api_key: str | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    data: Path = Path(".manycast")
    server: str = "http://127.0.0.1:8000"
    api_key: SecretStr | None = None


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
        raise MalformedSettingError(f"{name}={first['input']}: {first['msg']}") from None
