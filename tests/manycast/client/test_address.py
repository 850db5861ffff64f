"""Every form in which people hand a stream on."""

import pytest

from manycast.client.address import Address, MalformedAddressError, parse_address, with_scheme

ID = "abcdefghijklmnopqrst-_"


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        (ID, "http://default:1"),
        (f" {ID}\n", "http://default:1"),
        (f"https://host/v1/streams/{ID}", "https://host"),
        (f"https://host:8443/v1/streams/{ID}/events?dialect=native", "https://host:8443"),
        (f"https://host/some/where/v1/streams/{ID}/events", "https://host/some/where"),
        (f"http://host/#{ID}", "http://host"),
        (f"http://host/watch#{ID}", "http://host"),
        (f"http://host/some/where/watch#{ID}", "http://host/some/where"),
        (f"http://host/#/s/{ID}", "http://host"),
        (f"http://host/?stream={ID}", "http://host"),
        (f"http://host/s/{ID}", "http://host"),
        (f"http://[::1]:8000/s/{ID}", "http://[::1]:8000"),
        (f"host/s/{ID}", "http://host"),
        (f"chat.example.com/watch#{ID}", "https://chat.example.com"),
    ],
)
def test_an_address_is_taken_apart(text: str, base_url: str) -> None:
    assert parse_address(text, "http://default:1/") == Address(base_url, ID)


TICKET = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJwX2FiY2RlZmdoaWprbG1ub3BxcnN0In0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.mark.parametrize(
    "text",
    [
        f"{ID}.{TICKET}",
        f"http://default:1/watch#{ID}.{TICKET}",
        f"http://default:1/v1/streams/{ID}/events?ticket={TICKET}",
        f"http://default:1/v1/streams/{ID}?dialect=native&ticket={TICKET}",
        f"http://default:1/?stream={ID}&ticket={TICKET}",
        f"http://default:1/?ticket={TICKET}#{ID}",
    ],
)
def test_a_ticket_is_taken_off_an_address(text: str) -> None:
    assert parse_address(text, "http://default:1/") == Address("http://default:1", ID, TICKET)


@pytest.mark.parametrize(
    "text", ["", "short", ID + "/x", 65 * "x", f"ftp://host/{ID}", "http://host/", "http://[", "[/x"]
)
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(MalformedAddressError):
        parse_address(text)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("localhost:8000/llm", "http://localhost:8000/llm"),
        (" gateway:8000", "http://gateway:8000"),
        ("192.168.1.20:8000", "http://192.168.1.20:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("chat.example.com", "https://chat.example.com"),
        ("8.8.8.8:8000", "https://8.8.8.8:8000"),
        ("HTTP://chat.example.com", "HTTP://chat.example.com"),
        ("https://localhost", "https://localhost"),
        ("ftp://localhost", "ftp://localhost"),
        ("", ""),
    ],
)
def test_an_address_without_a_scheme_gets_https_unless_it_is_near(given: str, meant: str) -> None:
    assert with_scheme(given) == meant
