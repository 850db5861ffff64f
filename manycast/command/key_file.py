"""Adds API keys to a file. The file holds only hashes; the key itself is shown once and stored nowhere."""

import os
from pathlib import Path

from gateway.access.api_keys import ApiKey, MalformedKeysError, parse_keys


class KeyFileError(Exception):
    """One sentence that says why the key could not be added."""


def add_key(file: Path, key: ApiKey) -> None:
    """Creates the file if needed, readable by its owner only. A gateway that uses it reloads it by itself.

    Raises: KeyFileError.
    """
    try:
        # Append the line in one write: a gateway that reads meanwhile sees all of it or nothing.
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise KeyFileError(f"cannot write {file}: {error.strerror}") from error
    with os.fdopen(handle, "r+b", buffering=0) as keys:
        try:
            text = (keys.read() or b"").decode()
            known = parse_keys(text)
        except (UnicodeDecodeError, MalformedKeysError) as error:
            raise KeyFileError(f"{file} is not a key file: {error}") from error
        if any(each.name == key.name for each in known):
            raise KeyFileError(f"{file} already has a key named '{key.name}': remove its line to replace it")
        line = ("" if not text or text.endswith("\n") else "\n") + key.model_dump_json() + "\n"
        try:
            keys.write(line.encode())
        except OSError as error:
            raise KeyFileError(f"cannot write {file}: {error.strerror}") from error
