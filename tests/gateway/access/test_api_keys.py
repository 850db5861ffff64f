"""Keys: made, kept as hashes, recognised, withdrawn by taking a line out."""

import os
from pathlib import Path

import pytest

from gateway.access.api_keys import ApiKey, KeyRing, MalformedKeysError, make_key, parse_keys


def line(key: ApiKey) -> str:
    return key.model_dump_json() + "\n"


def test_a_key_opens_what_was_made_with_it_and_nothing_else() -> None:
    secret, key = make_key("team")
    other, _ = make_key("team")
    assert key.matches(secret)
    for wrong in (other, secret[:-1], secret + "x", secret.upper(), "", "mc-", "\ud83d"):
        assert not key.matches(wrong)


def test_what_is_kept_of_a_key_does_not_contain_it() -> None:
    secret, key = make_key("team")
    assert secret.rpartition("-")[2] not in line(key)
    assert make_key("team")[1].salt != key.salt


def test_a_ring_finds_the_key_among_many() -> None:
    made = [make_key(f"team-{number}") for number in range(20)]
    ring = KeyRing("".join(line(key) for _, key in made), None)
    for secret, key in made:
        assert ring.find(secret) == key
        assert ring.find(secret[:-1]) is None
    assert ring.find("sk-something-else") is None


def test_models_are_names_or_patterns_and_none_means_all() -> None:
    _, key = make_key("team", models=["demo", "gpt-4*"])
    assert [key.may_use(model) for model in ("demo", "gpt-4o", "gpt-5", "", "Demo")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert make_key("team")[1].may_use("anything")


def test_a_key_has_limits_unless_it_says_otherwise() -> None:
    limited, unlimited = make_key("team")[1], make_key("app", requests_per_minute=0, runs_at_once=0)[1]
    assert limited.requests_per_minute > 0
    assert limited.runs_at_once > 0
    by_hand = limited.model_dump_json(exclude={"requests_per_minute", "runs_at_once"})
    assert parse_keys(f"{by_hand}\n{line(unlimited)}") == [limited, unlimited]


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    (first, first_key), (second, second_key) = make_key("first"), make_key("second")
    file = tmp_path / "keys"
    file.write_text("# ours\n\n" + line(first_key))
    ring = KeyRing("", file)
    assert (ring.find(first), ring.find(second)) == (first_key, None)
    file.write_text(line(second_key))
    assert (ring.find(first), ring.find(second)) == (None, second_key)
    file.write_text("")
    assert ring.find(second) is None
    assert ring  # nobody is let in, which is not the same as everybody


def test_a_slip_in_the_file_does_not_undo_a_withdrawal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (stays, kept), (gone, withdrawn), (_, slipped) = make_key("stays"), make_key("gone"), make_key("slipped")
    file = tmp_path / "keys"
    file.write_text(line(kept) + line(withdrawn) + line(slipped))
    ring = KeyRing("", file)
    file.write_text(line(slipped)[:-10] + "\n" + line(kept))
    assert (ring.find(stays), ring.find(gone)) == (kept, None)
    assert "line 1" in caplog.text
    assert slipped.salt not in caplog.text


def test_where_the_file_is_lost_nobody_is_let_in_until_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (secret, key), (fixed, fixed_key) = make_key("team"), make_key("fixed")
    file = tmp_path / "keys"
    file.write_text(line(key))
    ring = KeyRing(line(fixed_key), file)
    file.unlink()
    assert (ring.find(secret), ring.find(fixed)) == (None, fixed_key)
    assert "there is no such file" in caplog.text
    file.write_text(line(key))
    assert ring.find(secret) == key


def test_a_file_replaced_by_another_of_the_same_size_is_noticed(tmp_path: Path) -> None:
    (_, first), (secret, second) = make_key("aaa"), make_key("bbb")
    file, fresh = tmp_path / "keys", tmp_path / "fresh"
    file.write_text(line(first))
    ring = KeyRing("", file)
    fresh.write_text(line(second))
    os.utime(fresh, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    fresh.replace(file)
    assert ring.find(secret) == second


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("nonsense", "line 1"),
        ('\n{"name":"a"}', "line 2: id"),
        ("{SECOND}", "line 2: a key with this name"),
        ("{LIMIT}", "line 1: requests_per_minute"),
        ("{NAME}", "line 1: name"),
        ("{MORE}", "line 1: colour"),
    ],
)
def test_a_line_that_is_none_is_named_and_not_shown(text: str, where: str) -> None:
    key = line(make_key("team")[1])
    text = (
        text.replace("{SECOND}", key + line(make_key("team")[1]))
        .replace("{LIMIT}", key.replace('minute":60', 'minute":-1'))
        .replace("{NAME}", key.replace('"team"', '"my team"'))
        .replace("{MORE}", key.replace("{", '{"colour":1,', 1))
    )
    with pytest.raises(MalformedKeysError) as refused:
        parse_keys(text)
    assert str(refused.value).startswith(where)
    assert "salt" not in str(refused.value)


def test_a_ring_whose_file_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(MalformedKeysError, match="there is no such file"):
        KeyRing("", tmp_path / "nowhere")


def test_no_keys_at_all_is_no_ring() -> None:
    assert not KeyRing("", None)
