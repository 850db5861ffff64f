"""The settings of the `manycast` command, from the environment. docs/operations.md lists them."""

from pathlib import Path

from pydantic import Field, SecretStr

from contract.keys import PREFIX
from contract.settings import LogLevel, PartitionCount, Prefix, RedisUrl, ServiceSettings


class ClientSettings(ServiceSettings):
    """What `ask` and `watch` need. They work without Redis, so they do not read `REDIS_URL`."""

    server: str = "http://127.0.0.1:8000"
    api_key: SecretStr | None = Field(None, repr=False)
    # https://no-color.org: any value asks for plain text.
    no_color: str | None = Field(None, validation_alias="NO_COLOR")


class Settings(ClientSettings):
    """What `up` and `doctor` need as well. `log_level` is checked here, and passed on to the services by `up`."""

    redis_url: RedisUrl | None = Field(None, validation_alias="REDIS_URL", repr=False)
    prefix: Prefix = PREFIX
    partitions: PartitionCount | None = None
    openai_api_key: str | None = Field(None, validation_alias="OPENAI_API_KEY", repr=False)
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL", repr=False)
    providers: Path | None = None
    scripts: str = ""
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    data: Path = Path(".manycast")
    log_level: LogLevel = "info"
