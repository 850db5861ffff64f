"""What operators and pages ask of a gateway: is it alive, is it ready, which models are there, what does it count."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.roster import Offer, read_roster
from gateway.api_error import ApiError
from gateway.json_response import JsonResponse
from gateway.metrics import Metrics
from gateway.reception import Reception


def service_router(client: Client, reception: Reception, metrics: Metrics) -> APIRouter:
    """The routes, over these parts."""
    router = APIRouter(tags=["service"])

    @router.get("/healthz")
    async def healthz() -> JsonResponse:
        """200 while the process serves, 503 while it drains."""
        return JsonResponse({"draining": reception.draining}, 503 if reception.draining else 200)

    @router.get("/readyz")
    async def readyz() -> JsonResponse:
        """200 where a run can be started and watched now."""
        try:
            workers, redis = len(await read_roster(client)), True
        except (BrokerUnavailableError, BrokerRefusedError):
            workers, redis = 0, False
        ready = redis and workers > 0 and not reception.draining
        body = {"ready": ready, "redis": redis, "workers": workers, "draining": reception.draining}
        return JsonResponse(body, 200 if ready else 503)

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        """What the live workers offer, in OpenAI's form."""
        return {"object": "list", "data": list_models(await read_roster(client))}

    @router.get("/v1/models/{model_id:path}")
    async def model(model_id: str) -> dict[str, Any]:
        """One of them."""
        for found in list_models(await read_roster(client)):
            if found["id"] == model_id:
                return found
        text = f"The model '{model_id[:128]}' does not exist: no worker offers it."
        raise ApiError(404, "model_not_found", text, param="model")

    @router.get("/metrics", include_in_schema=False)
    async def scrape() -> Response:
        """Prometheus text."""
        return Response(metrics.render(), media_type=metrics.media_type)

    return router


def list_models(offers: Iterable[Offer]) -> list[dict[str, Any]]:
    """Each model once; a worker's default comes first."""
    found = {}
    for offer in offers:
        for model in sorted(offer.models, key=lambda model: model.id != offer.default_model):
            found[model.id] = {
                "id": model.id,
                "object": "model",
                "created": model.created,
                "owned_by": model.owned_by,
            }
    return list(found.values())
