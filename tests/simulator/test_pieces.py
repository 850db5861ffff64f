from hypothesis import given
from hypothesis import strategies as st

from simulator.answer import answer
from simulator.pieces import split


@given(st.text())
def test_pieces_joined_are_exactly_the_text_and_none_is_empty(text: str) -> None:
    pieces = list(split(text))
    assert "".join(pieces) == text
    assert all(pieces)


def test_pieces_have_about_the_size_of_a_models_tokens() -> None:
    text = answer("How do I bake bread?", seed=0)
    assert 2.5 < len(text) / len(list(split(text))) < 5
