"""`GET /v1/streams`: the latest runs, for developers. Every caller sees prompts, so the list is off by default."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from contract.recent_runs import KEPT_RUNS
from gateway.access.authenticator import Authenticator
from gateway.http.errors import ApiError
from gateway.runs.run_list import RunList

USUAL_LIMIT = 50


def run_list_router(authenticator: Authenticator, runs: RunList | None) -> APIRouter:
    """The route; None: it says that it is off."""
    router = APIRouter(tags=["streams"])

    @router.get("/v1/streams")
    async def latest(
        request: Request, limit: Annotated[int, Query(ge=1, le=KEPT_RUNS)] = USUAL_LIMIT
    ) -> dict[str, Any]:
        """The latest runs."""
        caller = await authenticator.authenticate(request)
        if runs is None:
            message = "This server does not list runs. To have them listed, set MANYCAST_LIST_RUNS=1."
            raise ApiError(403, "runs_not_listed", message)
        return {"object": "list", "data": await runs.read(caller, limit)}

    return router
