"""API keys: makes them, parses their salted hashes (one JSON object per line), and checks them. Stores no key itself.

A key has 256 random bits and cannot be guessed, so one round of SHA-256 is enough; a password would need more.
"""

import hmac
import logging
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.http.security_log import Kind

PREFIX = "mc-"
DEFAULT_REQUESTS_PER_MINUTE = 60
DEFAULT_RUNS_AT_ONCE = 20
"""The limits of a key that names none. A key without limits says so: its limits are 0."""

logger = logging.getLogger(__name__)


class MalformedKeysError(ValueError):
    """The message says which line is wrong and how. It never quotes the line."""


class ApiKey(BaseModel):
    """A stored key. A limit of 0 means no limit. `models` are names or patterns (`gpt-*`); an empty tuple means all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")
    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    requests_per_minute: int = Field(DEFAULT_REQUESTS_PER_MINUTE, ge=0)
    runs_at_once: int = Field(DEFAULT_RUNS_AT_ONCE, ge=0)
    models: tuple[str, ...] = ()

    def matches(self, secret: str) -> bool:
        """Compares in constant time."""
        return hmac.compare_digest(_digest(self.salt, secret), self.hash)

    def may_use(self, model: str) -> bool:
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)


def make_key(
    name: str,
    *,
    requests_per_minute: int = DEFAULT_REQUESTS_PER_MINUTE,
    runs_at_once: int = DEFAULT_RUNS_AT_ONCE,
    models: Iterable[str] = (),
) -> tuple[str, ApiKey]:
    """The key itself, to be shown once, and the entry to store. Raises: ValueError for a malformed name or limit."""
    key_id, salt = token_hex(4), token_hex(16)
    secret = f"{PREFIX}{key_id}-{token_urlsafe(32)}"
    return secret, ApiKey(
        name=name,
        id=key_id,
        salt=salt,
        hash=_digest(salt, secret),
        requests_per_minute=requests_per_minute,
        runs_at_once=runs_at_once,
        models=tuple(models),
    )


class KeyList(NamedTuple):
    """The keys in a text, and what is wrong with its other lines."""

    keys: list[ApiKey]
    faults: list[str]


def parse_keys(text: str) -> list[ApiKey]:
    """Skips empty lines and lines that begin with `#`. Raises: MalformedKeysError."""
    keys, faults = _parse_lines(text)
    if faults:
        raise MalformedKeysError(faults[0])
    return keys


def _parse_lines(text: str) -> KeyList:
    found = KeyList([], [])
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            key = ApiKey.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(str(part) for part in first["loc"])
            found.faults.append(f"line {number}: {path}: {first['msg']}" if path else f"line {number}: {first['msg']}")
            continue
        if any(key.name == known.name or key.id == known.id for known in found.keys):
            found.faults.append(f"line {number}: a key with this name or id exists already")
        else:
            found.keys.append(key)
    return found


def _note_nothing(*_: object) -> None:
    """Takes notes nowhere: for a key ring outside of a server, which has no security log."""


class KeyRing:
    """The valid keys. Reads the file again when it has changed: to withdraw a key, remove its line.

    A mistake in the changed file disables only the line that contains it, so that withdrawals still take effect.
    """

    def __init__(self, lines: str, file: Path | None, note: Callable[[Kind, str, str], None] = _note_nothing) -> None:
        """`note`: as `SecurityLog.note_address`; it is called when the file was read again.

        Raises: MalformedKeysError, also if the file cannot be read. At the start, any mistake is an error.
        """
        self._note = note
        self._fixed = parse_keys(lines)
        self._file = file
        self._seen = None if file is None else _stamp(file)
        self._keys = {key.id: key for key in [*self._fixed, *read_keys(file)]}

    def __bool__(self) -> bool:
        """Whether keys are configured. A key file without keys counts: it admits no caller."""
        return bool(self._fixed) or self._file is not None

    def find(self, secret: str) -> ApiKey | None:
        """The key that matches `secret`, if any."""
        self._read_again()
        key = self._keys.get(secret.removeprefix(PREFIX).partition("-")[0])
        # The time that this takes reveals only whether the id exists, which is not a secret.
        return key if key is not None and key.matches(secret) else None

    def find_by_id(self, key_id: str) -> ApiKey | None:
        self._read_again()
        return self._keys.get(key_id)

    def _read_again(self) -> None:
        if self._file is None or (stamp := _stamp(self._file)) == self._seen:
            return
        self._seen = stamp
        try:
            keys, faults = _parse_lines(_read(self._file))
        except MalformedKeysError as error:
            keys, faults = [], [str(error)]
        known, self._keys = self._keys, {key.id: key for key in [*keys, *self._fixed]}
        if faults:
            logger.error("the file of API keys has mistakes: %s", "; ".join(faults))
        changes = {"added": self._keys.keys() - known.keys(), "withdrawn": known.keys() - self._keys.keys()}
        names = {**known, **self._keys}
        words = [f"{what} {', '.join(sorted(names[one].name for one in ids))}" for what, ids in changes.items() if ids]
        self._note(Kind.KEYS_RELOADED, "", "; ".join([f"{len(keys)} in the file", *words]))


def _digest(salt: str, secret: str) -> str:
    return sha256(bytes.fromhex(salt) + secret.encode(errors="surrogatepass")).hexdigest()


def _stamp(file: Path) -> object:
    """A value that changes when the file changes."""
    try:
        status = file.stat()
    except OSError as error:
        return error.errno
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_keys(file: Path | None) -> list[ApiKey]:
    """Raises: MalformedKeysError, also for a file that cannot be read."""
    return [] if file is None else parse_keys(_read(file))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MalformedKeysError("there is no such file; `manycast key create NAME --file FILE` makes it") from None
    except OSError as error:
        raise MalformedKeysError(f"the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MalformedKeysError("the file is not UTF-8") from None
