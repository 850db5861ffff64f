"""Headers and query fields on their way to the provider."""

import json

import pytest

from contract.passed import Passed, check_passed_header, take_passed

BODY = {"model": "m", "messages": [], "metadata": {"manycast": 1}}


def test_passed_fields_travel_in_the_request_and_are_taken_out() -> None:
    passed = Passed({"X-Title": 'a "b"'}, {"user": "é"})
    sent = passed.added_to(json.dumps(BODY).encode())
    assert take_passed(json.loads(sent)) == (BODY, passed)


def test_a_request_without_passed_fields_stays_unchanged() -> None:
    assert Passed().added_to(b'{"a":1}') == b'{"a":1}'
    assert take_passed(BODY) == (BODY, Passed())


@pytest.mark.parametrize(
    "name", ["Authorization", "COOKIE", "api-key", "X-Api-Key", "Host", "Content-Type", "Connection", "TE", "a b", ""]
)
def test_credentials_and_headers_of_the_connection_are_never_passed_on(name: str) -> None:
    with pytest.raises(ValueError, match=r"never passed on|not the name"):
        check_passed_header(name)


@pytest.mark.parametrize("name", ["X-Title", "OpenAI-Organization", "Helicone-Auth", "X-Content-Flag"])
def test_other_headers_may_be_passed_on(name: str) -> None:
    assert check_passed_header(name) == name


def test_an_empty_request_stays_json() -> None:
    passed = Passed({"X-Title": "app"}, {})
    assert take_passed(json.loads(passed.added_to(b"{}"))) == ({}, passed)
