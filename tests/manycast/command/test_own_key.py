"""Where a command finds its key."""

from pathlib import Path

import pytest

from manycast.command.own_key import OwnKeyError, find_key


def test_a_file_wins_over_the_environment_and_its_line_end_is_no_part_of_the_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("mc-file\n")
    assert find_key("mc-env", file) == "mc-file"
    assert find_key("mc-env", None) == "mc-env"
    assert find_key(None, None) is None


@pytest.mark.parametrize("text", ["", "\n", "mc-1\nmc-2", "mc 1", "schl\u00fcssel"])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(OwnKeyError, match="holds no valid key") as caught:
        find_key(None, file)
    assert "mc" not in str(caught.value).replace(str(file), "")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OwnKeyError, match="No such file"):
        find_key(None, tmp_path / "none")
