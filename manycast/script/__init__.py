"""Prompt chains: async functions that take a `Run`. docs/scripts.md describes them.

This package imports nothing else of ours, so that the tests of a script need no server.
"""

from manycast.script.definition import Script, script
from manycast.script.errors import (
    GenerationError,
    InputTimeoutError,
    ScriptChangedError,
    ScriptError,
    ScriptFailedError,
    ScriptLimitError,
    ToolError,
)
from manycast.script.message import Message, ToolCall
from manycast.script.run import Run

__all__ = [
    "GenerationError",
    "InputTimeoutError",
    "Message",
    "Run",
    "Script",
    "ScriptChangedError",
    "ScriptError",
    "ScriptFailedError",
    "ScriptLimitError",
    "ToolCall",
    "ToolError",
    "script",
]
