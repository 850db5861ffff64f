"""The API key that a command sends: from a file, else from the environment. `ps` would show an option to everyone."""

from pathlib import Path


class OwnKeyError(Exception):
    """One sentence on what is wrong with the file. It never quotes the file."""


def find_key(from_environment: str | None, file: Path | None) -> str | None:
    """The key, or None if none is configured. Raises: OwnKeyError."""
    if file is None:
        place, text = "MANYCAST_API_KEY", from_environment or ""
    else:
        place, text = str(file), _read(file)
    key = text.strip()
    if not (key.isascii() and key.isprintable()) or " " in key or (file is not None and not key):
        raise OwnKeyError(f"{place} holds no valid key: expected one line without spaces")
    return key or None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise OwnKeyError(f"cannot read {file}: {error.strerror}") from error
