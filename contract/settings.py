"""The base of every service's settings. Reads and checks the environment, and reports a bad variable in one line."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from contract.keys import PARTITIONS_LIMIT, check_prefix
from contract.redis_server import check_url
from contract.topology import parse_topology, plain_urls

SHOWN_CHARS = 300


class MalformedSettingError(Exception):
    """One line that names the variable and says what is wrong with it. It shows no secret."""


class ServiceSettings(BaseSettings):
    """Every field is the variable `MANYCAST_` + its name in capitals, unless it has an alias. Units come last in the
    names (`_s` is seconds). An empty variable counts as unset.

    A field with `repr=False` is a secret: its value is never shown, and the variable's name + `_FILE` may name a file
    that contains it.
    """

    model_config = SettingsConfigDict(env_prefix="MANYCAST_", env_ignore_empty=True, extra="ignore")


def check_redis_url(url: str) -> str:
    """Raises: ValueError for an address that cannot be used. The error's text holds no part of it."""
    topology = parse_topology(url)
    is_usable = False
    # The libraries' errors quote the URL, password included, so do not chain them to ours.
    with suppress(Exception):
        for one in plain_urls(topology):
            check_url(one)
        is_usable = True
    if not is_usable:
        raise ValueError(
            "it is not a valid address: a host is malformed, or an option after the ? is unknown or has a wrong value. "
            "Expected redis://USER:PASSWORD@HOST:PORT/DATABASE, with special characters in the password percent-encoded"
        )
    return url


RedisUrl = Annotated[str, AfterValidator(check_redis_url)]
Prefix = Annotated[str, AfterValidator(check_prefix)]
PartitionCount = Annotated[int, Field(ge=1, le=PARTITIONS_LIMIT)]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(lambda level: level.lower() if isinstance(level, str) else level),
]

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def read_settings(kind: type[SettingsT]) -> SettingsT:
    """Reads `kind` from the environment. Raises: MalformedSettingError for the first variable that cannot be used."""
    from_files: dict[str, Any] = dict(_read_secret_files(kind))
    try:
        return kind(**from_files)
    except SettingsError as error:
        raise MalformedSettingError(_in_one_line(str(error))) from None
    except ValidationError as error:
        first = error.errors()[0]
        # pydantic names a field by its alias, if it has one.
        place = str(first["loc"][0])
        name = _variable(kind, place)
        fields = [field for key, field in kind.model_fields.items() if place in (key, field.validation_alias)]
        is_secret = any(not field.repr for field in fields)
        value = "" if is_secret else f"={_in_one_line(str(first['input']))}"
        reason = _in_one_line(first["msg"].removeprefix("Value error, "))
        raise MalformedSettingError(f"{name}{value}: {reason}") from None


def _variable(kind: type[ServiceSettings], place: str) -> str:
    """The variable of a field. `place`: the field's alias, or its name if it has none."""
    return place if place.isupper() else f"{kind.model_config['env_prefix']}{place}".upper()


def _read_secret_files(kind: type[ServiceSettings]) -> Iterator[tuple[str, str]]:
    """The secrets that `kind` takes from files, by the alias or name of their field. Raises: MalformedSettingError."""
    for name, field in kind.model_fields.items():
        # A setting with a field of its own for the file, such as the API keys, reads that file itself.
        if field.repr or f"{name}_file" in kind.model_fields:
            continue
        place = str(field.validation_alias or name)
        variable = _variable(kind, place)
        if file := os.environ.get(f"{variable}_FILE"):
            if os.environ.get(variable):
                raise MalformedSettingError(f"{variable}_FILE: {variable} is set too; set only one of them")
            yield place, _read_secret(f"{variable}_FILE={_in_one_line(file)}", Path(file))


def _read_secret(setting: str, file: Path) -> str:
    """The file's text without the line end that editors add. Raises: MalformedSettingError, which names `setting`."""
    try:
        text = file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise MalformedSettingError(f"{setting}: the file cannot be read: {error.strerror}") from None
    except ValueError:
        raise MalformedSettingError(f"{setting}: the file is not UTF-8") from None
    if not text:
        raise MalformedSettingError(f"{setting}: the file is empty")
    return text


def _in_one_line(text: str) -> str:
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]}…"
