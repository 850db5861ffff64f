"""What a person sees of a stream, on a terminal, in a file and through a pipe."""

import os
import pty
import select
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, TextIO

import pytest

from contract.errors import RunError
from contract.event import Status
from contract.position import START, Position
from manycast.client.event import Chunk, Done, Event, Gap, Ping, Reconnecting, Restart, Start
from manycast.command.follow import NO_ANSWER, Follower
from manycast.command.terminal import Terminal
from manycast.exit_status import Exit

QUIET_S = 0.3


class Output:
    """A file, pipe or terminal to write to, and the text that has arrived there."""

    def __init__(self, out: TextIO, read: Callable[[], str]) -> None:
        self.out = out
        self._read = read

    @property
    def text(self) -> str:
        self.out.flush()
        return self._read()


class Outputs:
    """Opens outputs of each kind, and closes them all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._closing = ExitStack()

    def file(self, name: str = "out", mode: Literal["w", "a"] = "w") -> Output:
        path = self._directory / name
        return Output(self._closing.enter_context(path.open(mode)), path.read_text)

    def pipe(self) -> Output:
        read_end, write_end = os.pipe()
        return self._readable(write_end, read_end)

    def terminal(self) -> Output:
        keys, line = pty.openpty()
        return self._readable(line, keys)

    def close(self) -> None:
        self._closing.close()

    def _readable(self, write_end: int, read_end: int) -> Output:
        self._closing.callback(os.close, read_end)
        out = self._closing.enter_context(os.fdopen(write_end, "w"))

        def read() -> str:
            """All that comes until nothing more does: a terminal passes it on in pieces, from another thread."""
            pieces = []
            while select.select([read_end], [], [], QUIET_S)[0]:
                pieces.append(os.read(read_end, 65536))
            return b"".join(pieces).decode().replace("\r\n", "\n")

        return Output(out, read)


@pytest.fixture
def outputs(tmp_path: Path) -> Iterator[Outputs]:
    outputs = Outputs(tmp_path)
    yield outputs
    outputs.close()


@pytest.fixture
def notes(outputs: Outputs) -> Output:
    return outputs.file("notes")


def chunk(text: str, epoch: int = 1, seq: int = 2) -> Chunk:
    return Chunk(Position(epoch, seq), {"choices": [{"index": 0, "delta": {"content": text}}]})


def start(epoch: int = 1, model: str = "m") -> Start:
    return Start(Position(epoch, 1), "id", epoch, {"model": model})


def done(status: Status = Status.COMPLETED, reason: str | None = "stop", error: RunError | None = None) -> Done:
    return Done(Position(9, 9), status, reason, None, error, {})


RESTART = Restart(Position(2, 1), 2, "worker_lost")


async def follow(out: Output, notes: Output, *events: Event, history_end: Position = START) -> Exit:
    async def told() -> AsyncIterator[Event]:
        for event in events:
            yield event

    return await Follower(Terminal(out.out, notes.out), {"demo"}, history_end).follow(told())


async def test_the_text_goes_to_the_output_and_nothing_else_does(outputs: Outputs, notes: Output) -> None:
    out = outputs.file()
    assert await follow(out, notes, Ping("queued"), start(), chunk("Hel"), chunk("lo"), done()) is Exit.COMPLETED
    assert (out.text, notes.text) == ("Hello\n", "")


async def test_each_piece_is_there_as_soon_as_it_came(notes: Output) -> None:
    read_end, write_end = os.pipe()
    seen = []

    async def told() -> AsyncIterator[Event]:
        yield chunk("Hel")
        seen.append(os.read(read_end, 100))
        yield done()

    with os.fdopen(write_end, "w") as out:
        await Follower(Terminal(out, notes.out), set()).follow(told())
    os.close(read_end)
    assert seen == [b"Hel"]


async def test_the_simulator_is_named_as_such(outputs: Outputs, notes: Output) -> None:
    await follow(outputs.file(), notes, start(model="demo"), chunk("a"), done())
    assert notes.text == "demo is the built-in simulator, not a language model\n"


async def test_a_script_without_an_answer_says_what_its_author_has_forgotten(outputs: Outputs, notes: Output) -> None:
    out = outputs.file()
    assert await follow(out, notes, start(model="script/haiku"), chunk(""), done()) is Exit.COMPLETED
    assert (out.text, notes.text) == ("", f"{NO_ANSWER}\n")
    await follow(out, notes, start(model="script/haiku"), chunk("a"), done())
    await follow(out, notes, start(), chunk(""), done())
    assert notes.text == f"{NO_ANSWER}\n"


async def test_after_a_restart_a_file_holds_the_new_answer_alone(
    outputs: Outputs, notes: Output, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("before\n")
    out = outputs.file(mode="a")
    assert await follow(out, notes, start(), chunk("old"), RESTART, start(2), chunk("new"), done()) is Exit.COMPLETED
    assert out.text == "before\nnew\n"
    assert notes.text == "the worker was lost: the answer begins again\n"


async def test_after_a_restart_a_terminal_shows_both_and_says_why(outputs: Outputs, notes: Output) -> None:
    out = outputs.terminal()
    assert await follow(out, notes, start(), chunk("old"), RESTART, start(2), chunk("new"), done()) is Exit.COMPLETED
    assert out.text == "old\nnew\n"
    assert notes.text == "the worker was lost: the answer begins again\n"


async def test_a_pipe_is_not_given_the_answer_twice(outputs: Outputs, notes: Output) -> None:
    out = outputs.pipe()
    told = (start(), chunk("old"), RESTART, start(2), chunk("new"), done())
    assert await follow(out, notes, *told) is Exit.NOT_COMPLETED
    assert out.text == "old\n"
    assert "cannot be removed" in notes.text


async def test_a_pipe_gets_only_the_attempt_that_succeeded(outputs: Outputs, notes: Output) -> None:
    out = outputs.pipe()
    told = (start(), chunk("old"), RESTART, start(2), chunk("new", 2, 3), chunk("er", 2, 4), done())
    assert await follow(out, notes, *told, history_end=Position(2, 3)) is Exit.COMPLETED
    assert (out.text, notes.text) == ("newer\n", "the worker was lost: the answer begins again\n")


@pytest.mark.parametrize("history_end", [Position(1, 3), Position(9, 9)], ids=["running", "finished"])
async def test_the_text_before_the_join_is_written_at_once(
    outputs: Outputs, notes: Output, history_end: Position
) -> None:
    out = outputs.pipe()
    told = (start(), chunk("a", 1, 2), chunk("b", 1, 3), chunk("c", 1, 4), done())
    assert await follow(out, notes, *told, history_end=history_end) is Exit.COMPLETED
    assert out.text == "abc\n"


async def test_a_restart_before_the_first_word_is_not_mentioned(outputs: Outputs, notes: Output) -> None:
    out = outputs.pipe()
    assert await follow(out, notes, start(), RESTART, start(2), chunk("new"), done()) is Exit.COMPLETED
    assert (out.text, notes.text) == ("new\n", "")


async def test_a_gap_begins_the_answer_again_and_says_why(outputs: Outputs, notes: Output) -> None:
    out = outputs.file()
    await follow(out, notes, start(), chunk("old"), Gap("1-9", "1-1"), start(), chunk("new"), done())
    assert (out.text, notes.text) == ("new\n", "Redis lost the text shown so far: the answer begins again\n")


async def test_a_failure_is_told_in_the_providers_words_and_what_came_before_stays(
    outputs: Outputs, notes: Output
) -> None:
    out = outputs.file()
    error = RunError("rate_limit_exceeded", "Slow down,\nplease.", http_status=429)
    told = (start(), chunk("Hel"), done(Status.FAILED, None, error))
    assert await follow(out, notes, *told) is Exit.NOT_COMPLETED
    assert (out.text, notes.text) == ("Hel\n", "failed: Slow down, please. (rate_limit_exceeded, HTTP 429)\n")


async def test_a_cancelled_run_is_told_and_is_no_success(outputs: Outputs, notes: Output) -> None:
    out = outputs.file()
    assert await follow(out, notes, chunk("Hel"), done(Status.CANCELLED, None)) is Exit.NOT_COMPLETED
    assert notes.text == "stopped; the answer is not complete\n"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_a_cut_is_told(outputs: Outputs, notes: Output, reason: str) -> None:
    await follow(outputs.file(), notes, chunk("Hel"), done(reason=reason))
    assert notes.text.startswith("cut short")


async def test_a_gateway_without_room_is_mentioned_once(outputs: Outputs, notes: Output) -> None:
    away = Reconnecting("the server ended the response", 0.1, 0)
    await follow(outputs.file(), notes, Ping("full"), away, Ping("full"), away, chunk("a"), done())
    assert notes.text.splitlines() == ["too many viewers at the moment; trying again", "reconnected"]


async def test_a_lost_connection_and_its_return_are_mentioned_once(outputs: Outputs, notes: Output) -> None:
    trouble = [Reconnecting("connection refused", 1.0, attempt) for attempt in (1, 2)]
    told: list[Event] = [chunk("a"), *trouble, Ping("streaming"), chunk("b"), Reconnecting("in order", 0.1, 0)]
    await follow(outputs.file(), notes, *told, chunk("c"), done())
    assert notes.text.splitlines() == [
        "connection lost (connection refused); reconnecting, no text is lost",
        "reconnected",
    ]


async def test_on_one_screen_a_note_begins_on_a_line_of_its_own(outputs: Outputs) -> None:
    screen = outputs.terminal()
    error = RunError("x", "words")
    await follow(screen, screen, start(), chunk("Hel"), Ping("broker_unavailable"), done(Status.FAILED, None, error))
    lines = screen.text.splitlines()
    assert lines[0] == "Hel"
    assert "Redis" in lines[1]
    assert "words (x)" in lines[-1]


async def test_neither_a_model_nor_a_server_controls_the_terminal(outputs: Outputs, notes: Output) -> None:
    screen = outputs.terminal()
    harm = "\x1b[2J\x9b2J\u202e"
    error = RunError(f"x{harm}", f"words{harm}\r\nmore " + "and more " * 1_000)
    await follow(screen, notes, start(), chunk(f"a{harm}\n\tb"), done(Status.FAILED, None, error))
    assert screen.text.splitlines() == ["a␛[2J\ufffd2J\ufffd", "\tb"]
    (note,) = notes.text.splitlines()
    assert "words␛[2J\ufffd2J\ufffd more and more" in note
    assert len(note) < 5_000 and note.endswith("…")


async def test_an_output_of_an_older_encoding_is_given_question_marks(notes: Output, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="latin-1") as out:
        await follow(Output(out, str), notes, chunk("é 😀"), done())
    assert (tmp_path / "out").read_text(encoding="latin-1") == "é ?\n"


async def test_a_pair_split_over_two_chunks_comes_out_joined_and_a_lone_half_replaced(
    outputs: Outputs, notes: Output
) -> None:
    out = outputs.file()
    await follow(out, notes, chunk("a\ud83d"), chunk("\ude00b\ud83d"), done())
    assert out.text == "a😀b\ufffd\n"
