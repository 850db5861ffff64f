"""Somebody who reads the logs can find a run's lines, but cannot watch its stream."""

import io
import logging
from collections.abc import Iterator

import pytest

from contract.log_redaction import SafeTextFilter, abbreviate, redact
from contract.stream_id import is_stream_id, new_stream_id
from tests.redis_keys import stream_keys

STREAM_ID = "s_Zk3v9cWq1xTtYbN0aUj2Rg"
ITEM_KINDS = ("msg", "rs", "fc", "fco", "item")


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger whose handler has the filter, and what the handler wrote."""
    logger, written = logging.getLogger("tests.redaction"), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(SafeTextFilter())
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, written
    logger.removeHandler(handler)
    logger.propagate = True


@pytest.mark.parametrize("stream_id", [STREAM_ID, "p_Zk3v9cWq1xTtYbN0aUj2Rg", "x" * 64])
def test_an_abbreviated_id_is_its_beginning_and_no_id_itself(stream_id: str) -> None:
    shown = abbreviate(stream_id)
    assert stream_id.startswith(shown.removesuffix("…"))
    assert shown.endswith("…")
    assert not is_stream_id(shown.removesuffix("…"))


@pytest.mark.parametrize("private", [True, False])
def test_every_id_is_abbreviated_anywhere_in_a_line(private: bool) -> None:
    for _ in range(1000):
        stream_id = new_stream_id(private=private)
        keys = stream_keys(stream_id)
        responses = [f"/v1/responses/resp_{stream_id}/cancel", *(f"{kind}_{stream_id}_1_0" for kind in ITEM_KINDS)]
        texts = [stream_id, f"run {stream_id}: ok", keys.log, repr(f"x\n{stream_id}"), f"/v1%2F{stream_id}?a"]
        for text in (*texts, *responses):
            shown = redact(text)
            assert stream_id not in shown
            assert abbreviate(stream_id) in shown


@pytest.mark.parametrize("text", ["contract.errors.BrokerUnavailableError", "tests_of_all_kinds_of_things", "s_short"])
def test_other_words_stay_unchanged(text: str) -> None:
    assert redact(text) == text


def test_an_id_in_the_arguments_is_abbreviated(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.warning("run %s: %s", STREAM_ID, ValueError(STREAM_ID))
    assert written.getvalue() == "run s_Zk3v9cWq…: s_Zk3v9cWq…\n"


def test_an_id_in_the_message_is_abbreviated(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.warning(f"run {STREAM_ID} ends at 100%")
    assert written.getvalue() == "run s_Zk3v9cWq… ends at 100%\n"


def test_an_id_in_a_traceback_and_its_causes_is_abbreviated(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    try:
        try:
            int(STREAM_ID)
        except ValueError as error:
            raise LookupError(f"no stream {STREAM_ID}") from error
    except LookupError:
        logger.exception("failed", stack_info=True)
    assert STREAM_ID not in written.getvalue()
    assert "LookupError: no stream s_Zk3v9cWq…" in written.getvalue()
    assert "ValueError: invalid literal for int() with base 10: 's_Zk3v9cWq…'" in written.getvalue()


def test_a_line_that_cannot_be_formatted_is_logged_without_its_id(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.warning("run %s %d", STREAM_ID, "x")
    assert STREAM_ID not in written.getvalue()
    assert "s_Zk3v9cWq…" in written.getvalue()


HARM = "no\r\n2026-01-01 00:00:00,000 WARNING manycast.security forged\x1b[2J\u202e\x07 \u2028end"


def fail(text: str) -> None:
    raise ValueError(text)


def test_nobody_forges_a_line_or_a_control_sequence(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.warning("the provider said: %s", HARM)
    try:
        fail(HARM)
    except ValueError:
        logger.exception("failed with %s", HARM, stack_info=True)
    lines = written.getvalue().split("\n")
    assert [line for line in lines if line and not line.startswith("  ")] == [
        line for line in lines if line.startswith(("the provider said", "failed with"))
    ]
    assert all(line.isprintable() for line in lines)
    assert r"no\r\n2026" in lines[0] and r"forged\x1b[2J\u202e\x07 \u2028end" in lines[0]


def test_a_long_text_is_cut_and_a_traceback_keeps_its_end(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.warning("%s", "x" * 1_000_000)
    try:
        fail("y" * 1_000_000 + "the end")
    except ValueError:
        logger.exception("failed")
    assert len(written.getvalue()) < 100_000
    assert written.getvalue().endswith("the end\n")
