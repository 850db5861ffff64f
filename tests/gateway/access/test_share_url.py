"""The address that Share gives to other devices."""

import pytest

from gateway.access.share_url import parse_share_url


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", ""),
        ("http://192.168.1.20:8000", "http://192.168.1.20:8000/"),
        ("https://chat.example.com/llm/", "https://chat.example.com/llm/"),
        ("http://[fd00::1]:8000", "http://[fd00::1]:8000/"),
    ],
)
def test_it_is_an_http_address_and_ends_with_a_slash(given: str, meant: str) -> None:
    assert parse_share_url(given) == meant


@pytest.mark.parametrize(
    "text", ["192.168.1.20:8000", "ftp://host", "http://", "http://host?x", "http://host#x", "http://u:p@host"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the address of a server"):
        parse_share_url(text)
