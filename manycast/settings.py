"""What the environment says to the command. Read once, in `__main__`. The one door to the settings library."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Options of the command line win over these. An empty variable counts as one that is not there."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    redis_url: str | None = None
    openai_api_key: str | None = None
    openai_base_url: str | None = None
    manycast_server: str = "http://127.0.0.1:8000"
    manycast_data: Path = Path(".manycast")
