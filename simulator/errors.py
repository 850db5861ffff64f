"""OpenAI's errors, with the real status, type, code, param and wording. No I/O."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ApiError:
    """One error. `headers` are sent with it."""

    status: int
    text: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The JSON body. An error frame in a stream contains the same object."""
        error = {"message": self.text, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error}


class Refused(Exception):  # noqa: N818 - it carries the error
    """The response to this request is `error`."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.text)
        self.error = error


def missing(param: str) -> Refused:
    text = f"Missing required parameter: '{param}'."
    return Refused(ApiError(400, text, param=param, code="missing_required_parameter"))


def wrong_type(param: str, wanted: str) -> Refused:
    text = f"Invalid type for '{param}': expected {wanted}."
    return Refused(ApiError(400, text, param=param, code="invalid_type"))


def wrong_value(param: str, wanted: str) -> Refused:
    text = f"Invalid value for '{param}': expected {wanted}."
    return Refused(ApiError(400, text, param=param, code="invalid_value"))


def unknown_model(model: str) -> Refused:
    text = f"The model `{model}` does not exist or you do not have access to it."
    return Refused(ApiError(404, text, code="model_not_found"))


UNREADABLE_BODY = ApiError(400, "We could not parse the JSON body of your request.")

UNAUTHORIZED = ApiError(
    401,
    "Incorrect API key provided: sk-simul****ated. You can find your API key at "
    "https://platform.openai.com/account/api-keys.",
    code="invalid_api_key",
)

RATE_LIMITED = ApiError(
    429,
    "Rate limit reached for fault-429 on requests per min (RPM): Limit 1, Used 1, Requested 1. Please try again in 1s.",
    type="requests",
    code="rate_limit_exceeded",
    headers={"retry-after": "1"},
)

SERVER_FAILED = ApiError(
    500, "The server had an error while processing your request. Sorry about that!", type="server_error"
)

STREAM_REFUSED = ApiError(
    400,
    "Unsupported value: 'stream' does not support true with this model. Supported values are: false.",
    param="stream",
    code="unsupported_value",
)

OPTIONS_REFUSED = ApiError(
    400, "Unknown parameter: 'stream_options'.", param="stream_options", code="unknown_parameter"
)

FAILED_MIDWAY = ApiError(
    500,
    "The server had an error while processing your request. Sorry about that!",
    type="server_error",
    code="server_error",
)
