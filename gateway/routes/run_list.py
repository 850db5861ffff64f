"""`GET /v1/streams`: the latest runs, for developers. It shows prompts to every caller, so it is off by default."""

from typing import Annotated

from fastapi import FastAPI, Query, Request

from contract.recent_runs import KEPT_RUNS
from gateway.access.authenticator import Authenticator
from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse
from gateway.http.root_path import prefix_of
from gateway.routes.openapi import document
from gateway.runs.run_list import ListOfRuns, RunList

DEFAULT_LIMIT = 50


class RunListRoutes:
    """The list of runs. `runs` is None if the list is off; the call is then a 403."""

    def __init__(self, authenticator: Authenticator, runs: RunList | None) -> None:
        self._authenticator = authenticator
        self._runs = runs

    def register(self, app: FastAPI) -> None:
        app.add_api_route(
            "/v1/streams",
            self.latest,
            methods=["GET"],
            response_model=ListOfRuns,
            **document("listRuns", tag="streams", errors=(401, 403, 429)),
        )

    async def latest(
        self, request: Request, limit: Annotated[int, Query(ge=1, le=KEPT_RUNS)] = DEFAULT_LIMIT
    ) -> JsonResponse:
        """The latest runs."""
        caller = await self._authenticator.authenticate(request)
        if self._runs is None:
            message = "This server does not list runs. Set MANYCAST_LIST_RUNS=1 to list them."
            raise ApiError(403, "runs_not_listed", message)
        return JsonResponse(await self._runs.read(caller, limit, prefix_of(request)))
