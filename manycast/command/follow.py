"""Prints a stream for a person: its text, messages about it, and its end.

`manycast.client` connects, and `terminal.py` writes.
"""

from collections.abc import AsyncIterator, Callable, Collection

from contract.errors import RunError
from contract.event import Status
from contract.position import START, Position
from contract.prompts import SCRIPT_PREFIX
from manycast.client.answer_text import Answer
from manycast.client.event import Chunk, Done, Emit, Event, Gap, Input, Ping, Reconnecting, Restart, Start, Step
from manycast.command.steps import Steps
from manycast.command.terminal import Terminal
from manycast.exit_status import Exit

SIMULATOR_OWNER = "manycast-simulator"
RESTARTS = {
    "worker_lost": "the worker was lost",
    "worker_stopped": "the worker was stopped",
    "step_restarted": "a step starts again",
    "script_changed": "the script was changed",
}
CUTS = {
    "length": "cut short: the answer reached its token limit",
    "content_filter": "cut short by the provider's content filter",
}

NO_ANSWER = "the answer is empty: the script returned nothing and said nothing (`return …`, `say=True`)"


class Follower:
    """Writes one stream to one terminal. `simulated` are the models of the built-in simulator. `on_input` gets what a
    script asks; without it, questions are printed.

    Events up to `history_end` already exist: their text is held back until that position, so that the text of an
    abandoned attempt is not printed.
    """

    def __init__(
        self,
        terminal: Terminal,
        simulated: Collection[str],
        history_end: Position = START,
        on_input: Callable[[Input], None] | None = None,
    ) -> None:
        self._terminal = terminal
        self._simulated = simulated
        self._history_end = history_end
        self._on_input = on_input or self._print_question
        self._held: list[str] = []
        self._answer = Answer()
        self._steps = Steps()
        self._trouble = ""
        self._is_script = False

    async def follow(self, events: AsyncIterator[Event]) -> Exit:
        """Follows to the end of the stream. Raises: what `events` raises; BrokenPipeError."""
        async for event in events:
            self._tell_trouble(event)
            match event:
                case Chunk():
                    self._write(event)
                case Start():
                    self._is_script = str(event.shared.get("model")).startswith(SCRIPT_PREFIX)
                    self._tell_simulator(event)
                case Restart() | Gap():
                    if not self._begin_again(event):
                        return Exit.NOT_COMPLETED
                case Step() | Emit():
                    self._tell_script(event)
                case Input():
                    self._on_input(event)
                case Done():
                    return self._end(event)
        return Exit.COMPLETED

    def _tell_script(self, event: Step | Emit) -> None:
        line = self._steps.tell_step(event) if isinstance(event, Step) else self._steps.tell_event(event)
        if line:
            self._terminal.print_status(line)

    def _print_question(self, event: Input) -> None:
        for line in self._steps.tell_question(event):
            self._terminal.print_status(line)

    def _tell_trouble(self, event: Event) -> None:
        """Says once that the connection or Redis is lost, and once that it is back."""
        match event:
            case Reconnecting(attempt=attempt) if attempt > 0:
                trouble = f"connection lost ({event.reason}); reconnecting, no text is lost"
            case Ping(state="broker_unavailable"):
                trouble = "the server cannot reach Redis; the answer continues when it can"
            case Ping(state="full"):
                trouble = "too many viewers at the moment; trying again"
            case Reconnecting():
                return
            case _:
                trouble = ""
        if trouble and not self._trouble:
            self._terminal.print_status(trouble)
        elif self._trouble and not trouble:
            self._terminal.print_status("reconnected")
        self._trouble = trouble

    def _tell_simulator(self, start: Start) -> None:
        model = start.shared.get("model")
        if start.epoch == 1 and model in self._simulated:
            self._terminal.print_status(f"{model} is the built-in simulator, not a language model")

    def _write(self, chunk: Chunk) -> None:
        self._held.append(self._answer.take(chunk.chunk))
        if chunk.position >= self._history_end:
            self._release()

    def _release(self) -> None:
        self._terminal.write("".join(self._held))
        self._held.clear()

    def _begin_again(self, event: Restart | Gap) -> bool:
        """Removes the text so far. Returns False if that is impossible: stop, or the answer would be printed twice."""
        why = "Redis lost the text shown so far"
        if isinstance(event, Restart):
            why = RESTARTS.get(event.reason, event.reason)
        if isinstance(event, Gap):
            self._history_end = START
        is_empty, self._answer = self._answer.is_empty, Answer()
        self._held.clear()
        if is_empty:
            return True
        if self._terminal.take_back():
            self._terminal.print_status(f"{why}: the answer begins again")
            return True
        self._terminal.end_line()
        self._terminal.print_status(
            f"{why}: the answer begins again, but text that was written to a pipe cannot be removed"
        )
        return False

    def _end(self, done: Done) -> Exit:
        self._held.append(self._answer.end())
        self._release()
        self._terminal.end_line()
        if self._answer.choices > 1:
            self._terminal.print_status(f"this is only the first of {self._answer.choices} choices")
        for call in self._answer.tool_calls:
            self._terminal.print_status(f"the model calls the tool {call}")
        if done.status is Status.COMPLETED:
            if cut := CUTS.get(done.finish_reason or ""):
                self._terminal.print_status(cut)
            elif self._is_script and self._answer.is_empty:
                self._terminal.print_status(NO_ANSWER)
            return Exit.COMPLETED
        if done.status is Status.CANCELLED:
            self._terminal.print_status("stopped; the answer is not complete")
        else:
            self._terminal.print_status(f"failed: {_describe(done.error)}")
        return Exit.NOT_COMPLETED


def _describe(error: RunError | None) -> str:
    """The provider's error message, and its source."""
    if error is None:
        return "the server gave no reason"
    source = error.code if error.http_status is None else f"{error.code}, HTTP {error.http_status}"
    return f"{error.message} ({source})"
