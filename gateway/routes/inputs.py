"""`POST /v1/streams/{id}/input`: answer a question of a script. docs/protocol.md, section 14, specifies it."""

from fastapi import FastAPI, Request

from contract.questions import Answered, Questions
from gateway.access.authenticator import Authenticator
from gateway.access.permissions import Permissions
from gateway.http.body import parse_object, read_body
from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse
from gateway.http.models import check_body
from gateway.http.stream_urls import no_such_stream
from gateway.routes.models import InputAnswer, InputRequest, StreamIdPath
from gateway.routes.openapi import ACCESS_ERRORS, BODY_ERRORS, document
from gateway.runs.input_schema import find_problem

BODY_LIMIT_BYTES = 1 << 18


class InputRoutes:
    """Answers of people to scripts."""

    def __init__(self, authenticator: Authenticator, permissions: Permissions, questions: Questions) -> None:
        self._authenticator = authenticator
        self._permissions = permissions
        self._questions = questions

    def register(self, app: FastAPI) -> None:
        app.add_api_route(
            "/v1/streams/{stream_id}/input",
            self.answer,
            methods=["POST"],
            response_model=InputAnswer,
            **document(
                "answerInput",
                tag="streams",
                takes_ticket=True,
                body=InputRequest,
                errors=(*BODY_ERRORS, *ACCESS_ERRORS, 409, 422, 429),
            ),
        )

    async def answer(self, stream_id: StreamIdPath, request: Request) -> JsonResponse:
        """Answers a question of the script. The first answer counts."""
        name = await self._permissions.check_writer(request, stream_id)
        headers = await self._authenticator.check_answer_rate(request)
        given = check_body(InputRequest, parse_object(await read_body(request, BODY_LIMIT_BYTES)))
        question = await self._questions.find(stream_id, given.id)
        if question is not None and (problem := find_problem(question, given.value)):
            raise ApiError(422, "invalid_input", problem, param="value")
        answer = {"value": given.value, "by": name or None}
        result, counts = await self._questions.answer(stream_id, given.id, answer)
        match result:
            case Answered.GONE:
                raise no_such_stream(stream_id)
            case Answered.UNKNOWN:
                text = f"The script has asked no question with the id '{given.id[:64]}'."
                raise ApiError(404, "no_such_question", text, param="id")
            case Answered.CLOSED:
                raise ApiError(409, "answer_too_late", "Nobody has answered in time: the script has gone on.")
            case Answered.ENDED:
                raise ApiError(409, "run_ended", "The run has ended.")
            case Answered.ANSWERED:
                who = f" by {counts['by']}" if counts["by"] else ""
                raise ApiError(409, "already_answered", f"The question has already been answered{who}.")
        return JsonResponse({"id": given.id, **answer}, headers=headers)
