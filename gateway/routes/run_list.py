"""For developers: the latest runs, and the prompts of scripts. They show prompts to callers, so they are off by
default."""

from typing import Annotated

from fastapi import FastAPI, Query, Request

from contract.recent_runs import KEPT_RUNS
from gateway.access.authenticator import Authenticator
from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse
from gateway.http.root_path import prefix_of
from gateway.routes.models import StreamIdPath
from gateway.routes.openapi import ACCESS_ERRORS, document
from gateway.runs.run_again import KeptPrompts, RunsAgain
from gateway.runs.run_list import ListOfRuns, RunList

DEFAULT_LIMIT = 50


class RunListRoutes:
    """The list of runs. `runs` is None if the list is off; the call is then a 403."""

    def __init__(self, authenticator: Authenticator, runs: RunList | None, again: RunsAgain) -> None:
        self._authenticator = authenticator
        self._runs = runs
        self._again = again

    def register(self, app: FastAPI) -> None:
        app.add_api_route(
            "/v1/streams",
            self.latest,
            methods=["GET"],
            response_model=ListOfRuns,
            **document("listRuns", tag="streams", errors=(401, 403, 429)),
        )

        app.add_api_route(
            "/v1/streams/{stream_id}/prompts",
            self.prompts,
            methods=["GET"],
            response_model=KeptPrompts,
            **document("readPrompts", tag="streams", errors=ACCESS_ERRORS),
        )

    async def prompts(self, stream_id: StreamIdPath, request: Request) -> JsonResponse:
        """What the steps of a script have asked their models."""
        caller = await self._authenticator.authenticate(request)
        return JsonResponse(await self._again.read_prompts(caller, stream_id))

    async def latest(
        self, request: Request, limit: Annotated[int, Query(ge=1, le=KEPT_RUNS)] = DEFAULT_LIMIT
    ) -> JsonResponse:
        """The latest runs."""
        caller = await self._authenticator.authenticate(request)
        if self._runs is None:
            message = "This server does not list runs. Set MANYCAST_LIST_RUNS=1 to list them."
            raise ApiError(403, "runs_not_listed", message)
        return JsonResponse(await self._runs.read(caller, limit, prefix_of(request)))
