"""Asks the person at the keyboard the questions of a script. Others who watch may answer first."""

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any, TextIO

from manycast.client import Client
from manycast.client.client import Stream
from manycast.client.errors import ManycastError, RefusedError
from manycast.client.event import Input
from manycast.command.steps import shown
from manycast.command.terminal import Terminal

READ_BYTES = 4096
CONFLICT = 409
"""The status if somebody else has answered first."""


class Asker:
    """One per stream. `take` gets each `Input` event; `run` asks, one question after the other."""

    def __init__(self, client: Client, stream: Stream, terminal: Terminal, keyboard: TextIO) -> None:
        self._client = client
        self._stream = stream
        self._terminal = terminal
        self._keyboard = keyboard
        self._asked: dict[str, Mapping[str, Any]] = {}
        self._open: dict[str, Mapping[str, Any]] = {}
        self._changed = asyncio.Event()
        self._typed = bytearray()
        self._has_ended = False

    def take(self, event: Input) -> None:
        match event.state:
            case "asked":
                self._open[event.id] = self._asked[event.id] = event.data
            case "refused":
                self._open[event.id] = self._asked[event.id]
                self._terminal.print_status(f"that does not fit: {event.data.get('problem')}")
            case _:
                self._open.pop(event.id, None)
                if event.state == "answered":
                    who = f" ({event.data['by']})" if event.data.get("by") else ""
                    self._terminal.print_status(f"the answer: {shown(event.data.get('value'))}{who}")
                else:
                    self._terminal.print_status("nobody has answered in time")
        self._changed.set()

    async def run(self) -> None:
        """Runs until cancelled, or until nothing more can be typed."""
        while True:
            while not self._open:
                await self._wait_for_change()
            place, question = next(iter(self._open.items()))
            self._show(question)
            line = await self._read_line(place)
            if line is not None:
                await self._answer(place, question, line)
            elif self._has_ended:
                self._terminal.print_status(f"the script waits for an answer; give it at {self._stream.page_url}")
                return

    def _show(self, question: Mapping[str, Any]) -> None:
        self._terminal.end_line()
        self._terminal.print_status(str(question.get("question")))
        for number, choice in enumerate(question.get("choices") or (), 1):
            self._terminal.print_status(f"  {number}  {choice}")
        schema = question.get("schema") or {}
        if schema and schema.get("type") != "string":
            self._terminal.print_status(f"as JSON that fits {json.dumps(schema)}")
        self._terminal.prompt("> ")

    async def _answer(self, place: str, question: Mapping[str, Any], line: str) -> None:
        try:
            await self._client.answer(self._stream, place, read_value(question, line))
        except RefusedError as error:
            self._terminal.print_status(str(error))
            if error.status != CONFLICT:
                return
        except ManycastError as error:
            self._terminal.print_status(str(error))
            return
        # The event that closes the question follows. Until then, do not ask it again.
        self._open.pop(place, None)

    async def _read_line(self, place: str) -> str | None:
        """What was typed. None if somebody else has answered the question, or the input has ended."""
        while place in self._open:
            line, newline, rest = bytes(self._typed).partition(b"\n")
            if newline:
                self._typed = bytearray(rest)
                return line.decode("utf-8", "replace").strip()
            if self._has_ended:
                self._typed.clear()
                return line.decode("utf-8", "replace").strip() or None
            await self._read()
        self._terminal.end_prompt()
        return None

    async def _read(self) -> None:
        """Waits until something is typed, the input ends, or a question changes."""
        loop, is_ready = asyncio.get_running_loop(), asyncio.Event()
        descriptor = self._keyboard.fileno()
        try:
            loop.add_reader(descriptor, is_ready.set)
        except (OSError, ValueError):
            # A plain file can always be read.
            is_ready.set()
        waits = [asyncio.create_task(is_ready.wait()), asyncio.create_task(self._wait_for_change())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(descriptor)
            for wait in waits:
                wait.cancel()
        if is_ready.is_set():
            piece = os.read(descriptor, READ_BYTES)
            self._typed += piece
            self._has_ended = not piece

    async def _wait_for_change(self) -> None:
        await self._changed.wait()
        self._changed.clear()


def read_value(question: Mapping[str, Any], line: str) -> Any:
    """The answer that a line means: a choice by its text or its number, JSON for a schema, or else the text."""
    choices = question.get("choices")
    if choices is not None:
        is_number = line.isascii() and line.isdigit() and line not in choices
        return choices[int(line) - 1] if is_number and 0 < int(line) <= len(choices) else line
    schema = question.get("schema") or {}
    if schema and schema.get("type") != "string":
        try:
            return json.loads(line)
        except ValueError:
            # The server says what it wants instead.
            return line
    return line
