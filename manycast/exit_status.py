"""The exit status of every command."""

from enum import IntEnum


class Exit(IntEnum):
    """130 is the shell's convention for Ctrl-C: 128 + SIGINT."""

    COMPLETED = 0
    NOT_COMPLETED = 1
    INTERRUPTED = 130
