"""The errors of scripts: those that a script may raise or catch, and those that end its run."""

from collections.abc import Mapping
from typing import Any


class ScriptError(Exception):
    """Ends the run as failed. Its text is for everybody who watches."""


class ScriptFailedError(ScriptError):
    """For scripts to raise: the text is what viewers read."""


class GenerationError(ScriptError):
    """A generation has failed. A script may catch it and go on.

    `details` has the fields of an error in a `done` event: code, message, type, param, retryable, http_status.
    """

    def __init__(self, details: Mapping[str, Any]) -> None:
        super().__init__(str(details["message"]))
        self.details = dict(details)

    @property
    def code(self) -> str:
        return str(self.details["code"])


class ScriptLimitError(ScriptError):
    """The script has made more calls than it may."""


class ScriptChangedError(ScriptError):
    """The script does not make the calls that the record of its run contains."""


class InputTimeoutError(ScriptError):
    """Nobody has answered a question in time. A script may catch it and go on."""


class ToolError(Exception):
    """For tools to raise: the model reads the text as the result of its call. Any other error ends the run."""
