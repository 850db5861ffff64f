"""The table of providers: a TOML file that says which provider answers which model, and how.

docs/providers.md explains it. Its errors name the file, the table and the field, and never show a key.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from contract.passed import VALUE, check_header_name, check_passed_header
from worker.settings import OPENAI_URL

PASSED_HEADERS = ("HTTP-Referer", "X-Title")
"""The caller's headers that providers get by default: they tell OpenRouter which app asks."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class ProviderTableError(Exception):
    """The table of providers cannot be used. One line for the operator: file, table, field, and what is wrong."""


def _check_header_value(value: str) -> str:
    if VALUE.fullmatch(value) is None:
        raise ValueError("a header's value consists of visible ASCII characters, with spaces only between them")
    return value


def _check_url(url: str) -> str:
    if re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url) is None:
        raise ValueError("it must be http://HOST… or https://HOST…, without a user, a query or a fragment")
    return url.rstrip("/")


Pattern = Annotated[str, Field(min_length=1, max_length=256)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Headers = dict[Annotated[str, AfterValidator(check_header_name)], Annotated[str, AfterValidator(_check_header_value)]]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class CallOptions(_Table):
    """What may differ from model to model. None: not set here.

    The timeouts are the longest silence before and after the first chunk (0: no limit). `stream_options`, `stream`:
    whether the provider accepts these fields of a request; None: find out.
    """

    first_chunk_timeout_s: Seconds | None = None
    chunk_timeout_s: Seconds | None = None
    stream_options: bool | None = None
    stream: bool | None = None

    def over(self, other: "CallOptions") -> "CallOptions":
        """These options, and those of `other` where these say nothing."""
        return CallOptions(**{name: getattr(other, name) if own is None else own for name, own in self.said()})

    def said(self) -> Iterator[tuple[str, Any]]:
        return ((name, getattr(self, name)) for name in CallOptions.model_fields)


class Provider(CallOptions):
    """One provider. A limit of 0 is no limit.

    `models` are patterns: the first provider with one that fits a model is asked. `fallback` names the providers that
    are asked in its place. `rename` maps a caller's name of a model to the provider's; a `*` at the end of both stands
    for the rest. `model` has options by pattern; the first that fits counts.
    """

    name: str = ""
    base_url: Annotated[str, AfterValidator(_check_url)] = OPENAI_URL
    api_key: SecretStr | None = Field(None, repr=False)
    api_key_env: str | None = None
    api_key_file: str | None = None
    azure: bool = False
    api_version: str | None = None
    models: tuple[Pattern, ...] = Field(strict=False)
    rename: dict[str, str] = {}
    headers: Headers = Field({}, repr=False)
    query: dict[str, str] = Field({}, repr=False)
    passed_headers: tuple[Annotated[str, AfterValidator(check_passed_header)], ...] = Field(
        PASSED_HEADERS, strict=False
    )
    passed_query: tuple[str, ...] = Field((), strict=False)
    runs_at_once: int = Field(0, ge=0)
    retries: int | None = Field(None, ge=0)
    fallback: tuple[str, ...] = Field((), strict=False)
    fallback_after_timeout: bool = False
    breaker_failures: int = Field(5, ge=0)
    breaker_pause_s: float = Field(5.0, gt=0, allow_inf_nan=False)
    model: dict[Pattern, CallOptions] = {}

    @property
    def key(self) -> str:
        """The key; "" for a provider that needs none."""
        return self.api_key.get_secret_value() if self.api_key else ""

    def answers(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self.models)

    def options_for(self, model: str) -> CallOptions:
        """By the caller's name of the model."""
        found = next((options for pattern, options in self.model.items() if fnmatchcase(model, pattern)), CallOptions())
        return found.over(self)

    def own_name_of(self, model: str) -> str:
        """The provider's name of the model that a caller names."""
        if model in self.rename:
            return self.rename[model]
        for given, own in self.rename.items():
            if given.endswith("*") and own.endswith("*") and model.startswith(given[:-1]):
                return own[:-1] + model[len(given) - 1 :]
        return model

    def callers_names_of(self, own: str) -> tuple[str, ...]:
        """The names under which callers may ask for a model, its own name included."""
        names = [own]
        for given, renamed in self.rename.items():
            if renamed == own:
                names.append(given)
            elif given.endswith("*") and renamed.endswith("*") and own.startswith(renamed[:-1]):
                names.append(given[:-1] + own[len(renamed) - 1 :])
        return tuple(names)

    def named_models(self) -> tuple[str, ...]:
        """The models that the table itself names, without wildcards, in the callers' names."""
        names = (*self.models, *self.rename)
        return tuple(dict.fromkeys(name for name in names if not set(name) & set("*?[") and self.answers(name)))

    def with_key(self, key: str) -> Self:
        return self.model_copy(update={"api_key": SecretStr(key)})


class _File(_Table):
    providers: dict[str, Provider] = Field(min_length=1)


def load_providers(path: Path, environ: Mapping[str, str]) -> tuple[Provider, ...]:
    """The providers of a file in their order, with their keys. Raises: ProviderTableError."""
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProviderTableError(f"{path}: it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ProviderTableError(f"{path}: it is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ProviderTableError(f"{path}: it is not TOML: {error}") from None
    try:
        table = _File.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ProviderTableError(f"{path}: {_place(first['loc'])}: {_reason(first)}") from None
    found = []
    for name, provider in table.providers.items():
        try:
            _check_provider(name, provider, table.providers)
            named = provider.model_copy(update={"name": name})
            found.append(_with_key(named, path.parent, environ))
        except _FieldError as error:
            raise ProviderTableError(f"{path}: {_place(('providers', name, error.field))}: {error}") from None
    return tuple(found)


class _FieldError(Exception):
    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def _check_provider(name: str, provider: Provider, all_of_them: Mapping[str, Provider]) -> None:
    if provider.name not in ("", name):
        raise _FieldError("name", f"the name of the table counts: write [providers.{_bare(provider.name)}] instead")
    if _NAME.fullmatch(name) is None:
        raise _FieldError("name", "the name of a table has up to 64 letters, digits, '-', '_' and '.'")
    if provider.azure and not provider.api_version:
        raise _FieldError("api_version", "Azure needs one, such as 2024-10-21")
    if provider.azure and provider.base_url == OPENAI_URL:
        raise _FieldError("base_url", "Azure needs the endpoint of the resource, https://NAME.openai.azure.com")
    if provider.api_version is not None and not provider.azure:
        raise _FieldError("api_version", "only Azure has versions: set azure = true, or put it into query")
    for other in provider.fallback:
        if other == name:
            raise _FieldError("fallback", "a provider cannot stand in for itself")
        if other not in all_of_them:
            raise _FieldError("fallback", f"there is no provider '{other}': there are {', '.join(all_of_them)}")


def _with_key(provider: Provider, folder: Path, environ: Mapping[str, str]) -> Provider:
    given = [name for name in ("api_key", "api_key_env", "api_key_file") if getattr(provider, name) is not None]
    if not given:
        return provider
    if len(given) > 1:
        raise _FieldError(given[1], f"{' and '.join(given)} are both set: choose one")
    if provider.api_key_env is not None:
        key = environ.get(provider.api_key_env, "").strip()
        if not key:
            raise _FieldError("api_key_env", f"the variable {provider.api_key_env} is not set")
    elif provider.api_key_file is not None:
        path = folder / Path(provider.api_key_file).expanduser()
        try:
            key = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise _FieldError("api_key_file", f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise _FieldError("api_key_file", f"{path} is not UTF-8") from None
    else:
        key = provider.key
    if VALUE.fullmatch(key) is None or " " in key:
        raise _FieldError(given[0], "a key is not empty and consists of visible ASCII characters")
    return provider.with_key(key)


def _place(location: tuple[int | str, ...]) -> str:
    """The table and field of a value as the file writes them, such as `[providers.openai] models[1]`."""
    place, index = list(location), ""
    while place and isinstance(place[-1], int):
        index = f"[{place.pop()}]{index}"
    if place and place[-1] == "[key]":
        place.pop()
    *table, field = [_bare(str(part)) for part in place] or ["the file"]
    return (f"[{'.'.join(table)}] " if table else "") + field + index


def _bare(part: str) -> str:
    return part if _BARE_KEY.fullmatch(part) else f'"{part}"'


def _reason(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such field"
    if error["type"] == "missing":
        return "it is missing"
    text: str = error["msg"]
    return text.removeprefix("Value error, ")
