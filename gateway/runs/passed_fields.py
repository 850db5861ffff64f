"""Which headers and query fields of a caller's request go to the provider, if the provider is to get them. No I/O."""

from fastapi import Request

from contract.passed import VALUE, Passed, check_passed_header


class PassedFields:
    """`headers` and `query`: names, separated by commas. Raises: ValueError for a header that is never passed on."""

    def __init__(self, headers: str, query: str) -> None:
        self._headers = tuple(check_passed_header(name) for name in _names_in(headers))
        self._query = _names_in(query)

    def of(self, request: Request) -> Passed:
        """A header that is not ASCII is left out, because its encoding is not certain."""
        headers = {name: ", ".join(request.headers.getlist(name)) for name in self._headers}
        return Passed(
            headers={name: value for name, value in headers.items() if VALUE.fullmatch(value)},
            query={name: request.query_params[name] for name in self._query if name in request.query_params},
        )


def _names_in(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
