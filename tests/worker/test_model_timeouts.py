"""Timeouts by model, as the settings write them."""

import pytest

from worker.model_timeouts import ModelTimeouts, parse_patterns


def test_the_first_pattern_that_fits_counts() -> None:
    timeouts = ModelTimeouts(60, parse_patterns("o3-mini*=30, o3*=600 ,x=y=0,,"))
    assert [timeouts.of(model) for model in ("o3-mini-high", "o3-pro", "x=y", "O3", "")] == [30, 600, 0, 60, 60]


@pytest.mark.parametrize("text", ["o3", "o3=", "=3", "o3=-1", "o3=nan", "o3=inf", "o3=1 2"])
def test_a_malformed_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not PATTERN=SECONDS"):
        parse_patterns(text)
