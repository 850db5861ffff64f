"""What `curl` reads."""

from contract.errors import RunError
from gateway.dialects.text import TextDialect
from tests.author import Entry
from tests.gateway.fanout.recording import attempt, chunk_of, done, restart, write_all


def text_of(*entries: Entry) -> str:
    return write_all(TextDialect(), entries).decode()


def test_only_the_text_of_the_first_choice_is_written() -> None:
    second = {"index": 1, "delta": {"content": "other"}}
    chunks = [
        chunk_of({"role": "assistant", "content": ""}),
        {**chunk_of({}), "choices": [second]},
        chunk_of({"reasoning_content": "hm", "content": "Grüße "}),
        chunk_of({"refusal": "no", "tool_calls": [{"index": 0}]}, "stop"),
        {**chunk_of({}), "choices": []},
    ]
    assert text_of(*attempt(chunks), done()) == "Grüße no\n"


def test_the_words_of_audio_are_text() -> None:
    chunks = [
        chunk_of({"content": None, "audio": {"transcript": "Hello"}}),
        chunk_of({"audio": {"data": "AA"}}, "stop"),
    ]
    assert text_of(*attempt(chunks), done()) == "Hello\n"


def test_an_emoji_cut_in_the_middle_is_whole_again() -> None:
    chunks = [chunk_of({"content": "a\ud83d"}), chunk_of({"content": "\ude00b"})]
    assert text_of(*attempt(chunks), done()) == "a😀b\n"


def test_half_an_emoji_that_stays_alone_cuts_nobody() -> None:
    chunks = [chunk_of({"content": "\ude00a\ud83d"}), chunk_of({"content": "b"})]
    assert text_of(*attempt(chunks), done()) == "\ufffda\ufffdb\n"


def test_failure_and_cancellation_are_told_at_the_end() -> None:
    chunks = [chunk_of({"content": "Hel"})]
    error = RunError("upstream_truncated", "It ended too early.")
    assert (
        text_of(*attempt(chunks), done("failed", error)) == "Hel\n[failed: It ended too early. (upstream_truncated)]\n"
    )
    assert text_of(*attempt(chunks), done("cancelled")) == "Hel\n[cancelled: The run was cancelled.]\n"


def test_a_restart_is_told_to_those_who_have_read_something() -> None:
    again = attempt([chunk_of({"content": "again"})], 2, 2)
    told = "\n[the worker was lost; the answer begins again]\n"
    assert text_of(*attempt([chunk_of({"content": "Hel"})]), restart(2), *again, done()) == f"Hel{told}again\n"
    assert text_of(*attempt([chunk_of({"role": "assistant"})]), restart(2), *again, done()) == "again\n"
