"""The gateway's settings, from the environment. docs/operations.md lists them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from contract.keys import PREFIX
from contract.settings import LogLevel, PartitionCount, Prefix, RedisUrl, ServiceSettings
from gateway.access.api_keys import parse_keys, read_keys
from gateway.access.own_proxy import MIN_SECRET_CHARS as MIN_PROXY_SECRET_CHARS
from gateway.access.path_prefix import parse_prefix
from gateway.access.request_source import ANYONE, Proxies
from gateway.access.served_hosts import ServedHosts
from gateway.access.sessions import MIN_PASSWORD_CHARS
from gateway.access.setup import AccessOptions
from gateway.access.share_url import parse_share_url
from gateway.access.signing import parse_secrets
from gateway.http.middleware import parse_origins
from gateway.http.page_policy import PagePolicy, parse_frame_origins, parse_image_hosts
from gateway.runs.passed_fields import PassedFields


class Settings(ServiceSettings):
    """A limit of 0 means no limit, where 0 is allowed. Fields with `repr=False` hold secrets."""

    redis_url: RedisUrl = Field("redis://127.0.0.1:6379/0", validation_alias="REDIS_URL", repr=False)
    prefix: Prefix = PREFIX
    partitions: PartitionCount | None = None
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    processes: int = Field(1, ge=1)
    web_dir: Path | None = None
    image_hosts: str = ""
    frame_origins: str = ""
    list_runs: bool = False
    body_limit_bytes: int = Field(20 << 20, gt=0)
    body_budget_bytes: int = Field(64 << 20, gt=0)
    completion_budget_bytes: int = Field(64 << 20, gt=0)
    buffer_budget_bytes: int = Field(128 << 20, gt=0)
    prompt_limit_chars: int = Field(500_000, gt=0)
    cors_origins: str = ""
    published_on: str = ""
    share_url: str = ""
    path_prefix: str = ""
    trusted_proxies: str = "127.0.0.1,::1"
    proxy_secret: str = Field("", repr=False)
    user_header: bool = False
    hosts: str = Field("", validate_default=True)
    keys: str = Field("", repr=False)
    keys_file: Path | None = None
    password: str = Field("", repr=False)
    signing_keys: str = Field("", repr=False)
    ticket_s: int = Field(3600, gt=0)
    sign_in_s: int = Field(43200, gt=0)
    requests_per_minute: int = Field(60, ge=0)
    runs_at_once: int = Field(20, ge=0)
    completions_per_minute: int = Field(600, ge=0)
    queue_limit: int = Field(1000, gt=0)
    caller_limit_bytes: int = Field(64 << 20, ge=0)
    redis_reserve_percent: int = Field(25, ge=0, le=90)
    ping_interval_s: float = Field(15.0, gt=0)
    http_protocol: Literal["direct", "httptools", "h11"] = "direct"
    head_timeout_s: float = Field(10.0, gt=0)
    body_timeout_s: float = Field(30.0, gt=0)
    keep_alive_s: int = Field(75, gt=0)
    viewer_limit: int = Field(20_000, ge=0)
    stream_viewer_limit: int = Field(0, ge=0)
    reserved_viewers_percent: int = Field(10, ge=0, le=90)
    connection_limit: int = Field(21_000, gt=0)
    address_connection_limit: int = Field(1000, ge=0)
    passed_headers: str = "HTTP-Referer,X-Title,OpenAI-Organization,OpenAI-Project"
    passed_query: str = ""
    retry_window_s: int = Field(600, ge=0)
    head_wait_s: float = Field(25.0, gt=0)
    on_disconnect: Literal["continue", "cancel", "unwatched"] = "unwatched"
    abandon_after_s: float = Field(10.0, gt=0)
    send_timeout_s: float = Field(30.0, gt=0)
    tape_limit_bytes: int = Field(16 << 20, gt=0)
    linger_s: float = Field(5.0, ge=0)
    opening_timeout_s: float = Field(3.0, gt=0)
    watchdog_s: float = Field(2.0, gt=0)
    drain_retry_window_ms: int = Field(3000, gt=0)
    drain_timeout_s: int = Field(10, gt=0)
    send_buffer_bytes: int = Field(1 << 16, gt=0)
    retention_s: int = Field(86400, gt=0)
    log_level: LogLevel = "info"

    @property
    def passed(self) -> PassedFields:
        """What goes to the provider of a caller's headers and query."""
        return PassedFields(self.passed_headers, self.passed_query)

    @property
    def page_policy(self) -> PagePolicy:
        """What the page may load, and who may show it."""
        return PagePolicy(parse_image_hosts(self.image_hosts), parse_frame_origins(self.frame_origins))

    @property
    def access(self) -> AccessOptions:
        """The settings that decide who may do what."""
        return AccessOptions(
            keys=self.keys,
            keys_file=self.keys_file,
            password=self.password,
            signing_keys=self.signing_keys,
            sign_in_s=self.sign_in_s,
            trusted_proxies=self.believed_proxies,
            published_on=self.published_on,
            trusts_user_header=self.user_header,
            requests_per_minute=self.requests_per_minute,
            runs_at_once=self.runs_at_once,
            completions_per_minute=self.completions_per_minute,
        )

    @property
    def believed_proxies(self) -> str:
        """The proxies to trust. With a proxy secret, all: only our own proxy gets past `OwnProxyOnly`.

        The default, this computer, does not apply while a proxy may name users: any program, and any page in a browser
        on this computer, could then claim a name.
        """
        is_default = "trusted_proxies" not in self.model_fields_set
        listed = "" if is_default and (self.proxy_secret or self.user_header) else self.trusted_proxies
        return f"{ANYONE},{listed}" if self.proxy_secret else listed

    # The parts that use these settings parse them again. Parsing them here turns a mistake into a one-line message.

    @field_validator("web_dir")
    @classmethod
    def _check_web_dir(cls, folder: Path | None) -> Path | None:
        if folder is not None and not folder.is_dir():
            raise ValueError("there is no such folder")
        return folder

    @field_validator("keys")
    @classmethod
    def _check_keys(cls, text: str) -> str:
        parse_keys(text)
        return text

    @field_validator("keys_file")
    @classmethod
    def _check_keys_file(cls, file: Path | None) -> Path | None:
        read_keys(file)
        return file

    @field_validator("signing_keys")
    @classmethod
    def _check_signing_keys(cls, text: str) -> str:
        parse_secrets(text)
        return text

    @field_validator("password")
    @classmethod
    def _check_password(cls, password: str) -> str:
        if password and len(password) < MIN_PASSWORD_CHARS:
            raise ValueError(f"it is shorter than {MIN_PASSWORD_CHARS} characters")
        return password

    @field_validator("proxy_secret")
    @classmethod
    def _check_proxy_secret(cls, secret: str) -> str:
        if secret and len(secret) < MIN_PROXY_SECRET_CHARS:
            raise ValueError(f"it is shorter than {MIN_PROXY_SECRET_CHARS} characters")
        return secret

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, text: str, others: ValidationInfo) -> str:
        if not ServedHosts(text) and others.data.get("user_header"):
            # DNS rebinding would let a page of another site send X-Forwarded-User through the browser of a user.
            raise ValueError("MANYCAST_USER_HEADER needs it: the names under which users ask for this server")
        return text

    @field_validator("image_hosts")
    @classmethod
    def _check_image_hosts(cls, text: str) -> str:
        parse_image_hosts(text)
        return text

    @field_validator("frame_origins")
    @classmethod
    def _check_frame_origins(cls, text: str) -> str:
        parse_frame_origins(text)
        return text

    @field_validator("cors_origins")
    @classmethod
    def _check_cors_origins(cls, text: str) -> str:
        parse_origins(text)
        return text

    @field_validator("passed_headers")
    @classmethod
    def _check_passed_headers(cls, text: str) -> str:
        PassedFields(text, "")
        return text

    @field_validator("path_prefix")
    @classmethod
    def _check_path_prefix(cls, text: str) -> str:
        return parse_prefix(text)

    @field_validator("share_url")
    @classmethod
    def _check_share_url(cls, text: str) -> str:
        return parse_share_url(text)

    @field_validator("trusted_proxies")
    @classmethod
    def _check_trusted_proxies(cls, text: str) -> str:
        Proxies(text)
        return text
