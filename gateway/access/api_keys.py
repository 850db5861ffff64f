"""API keys: made, kept as salted hashes, one JSON object a line, and recognised. No key itself is kept anywhere.

A key is 256 random bits. Nobody guesses that, so one round of SHA-256 is enough, where a password would need more.
"""

import hmac
import logging
from collections.abc import Iterable
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PREFIX = "mc-"

logger = logging.getLogger(__name__)


class MalformedKeysError(ValueError):
    """Says which line is wrong, and how; never what stands in it."""


class ApiKey(BaseModel):
    """A key, as it is kept. Limits of 0 are none; `models` are names or patterns (`gpt-*`), no entry means all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")
    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    requests_per_minute: int = Field(0, ge=0)
    runs_at_once: int = Field(0, ge=0)
    models: tuple[str, ...] = ()

    def opens_with(self, secret: str) -> bool:
        """In constant time."""
        return hmac.compare_digest(_digest(self.salt, secret), self.hash)

    def may_use(self, model: str) -> bool:
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)


def make_key(
    name: str, *, requests_per_minute: int = 0, runs_at_once: int = 0, models: Iterable[str] = ()
) -> tuple[str, ApiKey]:
    """The key itself, to be shown once, and what is kept of it. Raises: ValueError for a name or limit that is none."""
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
    """What a text holds, and what is wrong with its other lines."""

    keys: list[ApiKey]
    faults: list[str]


def parse_keys(text: str) -> list[ApiKey]:
    """Empty lines and those that begin with `#` are passed over. Raises: MalformedKeysError."""
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
            where = ".".join(str(part) for part in first["loc"])
            found.faults.append(f"line {number}: {where + ': ' if where else ''}{first['msg']}")
            continue
        if any(key.name == known.name or key.id == known.id for known in found.keys):
            found.faults.append(f"line {number}: there is a key of this name or id already")
        else:
            found.keys.append(key)
    return found


class KeyRing:
    """The keys that open. A file is read again when it has changed: to withdraw a key, take its line out.

    A slip in the file costs the lines that it is in, and no withdrawal: what does not stand there does not open.
    """

    def __init__(self, lines: str, file: Path | None) -> None:
        """Raises: MalformedKeysError, also where the file cannot be read: who starts a gateway hears of every slip."""
        self._fixed = parse_keys(lines)
        self._file = file
        self._seen = None if file is None else _stamp(file)
        self._keys = {key.id: key for key in [*self._fixed, *read_keys(file)]}

    def __bool__(self) -> bool:
        """Whether keys are set up at all; a file without a key in it is, and lets nobody in."""
        return bool(self._fixed) or self._file is not None

    def find(self, secret: str) -> ApiKey | None:
        """The key that this is, if it is one."""
        self._read_again()
        key = self._keys.get(secret.removeprefix(PREFIX).partition("-")[0])
        # Whether the id exists is no secret, and all that the time taken could tell.
        return key if key is not None and key.opens_with(secret) else None

    def find_by_name(self, name: str) -> ApiKey | None:
        self._read_again()
        return next((key for key in self._keys.values() if key.name == name), None)

    def _read_again(self) -> None:
        if self._file is None or (stamp := _stamp(self._file)) == self._seen:
            return
        self._seen = stamp
        try:
            keys, faults = _parse_lines(_read(self._file))
        except MalformedKeysError as error:
            keys, faults = [], [str(error)]
        self._keys = {key.id: key for key in [*keys, *self._fixed]}
        logger.log(
            logging.ERROR if faults else logging.INFO, "keys read again: %s", "; ".join([str(len(keys)), *faults])
        )


def _digest(salt: str, secret: str) -> str:
    return sha256(bytes.fromhex(salt) + secret.encode(errors="surrogatepass")).hexdigest()


def _stamp(file: Path) -> object:
    try:
        status = file.stat()
    except OSError as error:
        return error.errno
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_keys(file: Path | None) -> list[ApiKey]:
    """Raises: MalformedKeysError, also for a file that cannot be read."""
    if file is None:
        return []
    try:
        return parse_keys(_read(file))
    except MalformedKeysError as error:
        raise MalformedKeysError(f"{file}: {error}") from None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise MalformedKeysError(f"it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MalformedKeysError("it is no UTF-8") from None
