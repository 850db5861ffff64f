"""What operators and pages ask of a gateway: is it alive, is it ready, which models are there, what does it count."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.worker_registry import WorkerOffer, read_offers
from gateway.access.authenticator import Authenticator
from gateway.fanout.presence import Presence
from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse
from gateway.metrics import Metrics


def service_router(client: Client, authenticator: Authenticator, presence: Presence, metrics: Metrics) -> APIRouter:
    """The routes, over these parts."""
    router = APIRouter(tags=["service"])

    async def offered(request: Request) -> list[dict[str, Any]]:
        key = authenticator.find_key(request)
        return [model for model in list_models(await read_offers(client)) if key is None or key.may_use(model["id"])]

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz")
    async def healthz() -> JsonResponse:
        """200 while the process serves, 503 while it drains."""
        return JsonResponse({"draining": presence.draining}, 503 if presence.draining else 200)

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz")
    async def readyz() -> JsonResponse:
        """200 where a run can be started and watched now."""
        try:
            workers, redis = len(await read_offers(client)), True
        except (BrokerUnavailableError, BrokerRefusedError):
            workers, redis = 0, False
        ready = redis and workers > 0 and not presence.draining
        body = {"ready": ready, "redis": redis, "workers": workers, "draining": presence.draining}
        return JsonResponse(body, 200 if ready else 503)

    @router.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        """What the live workers offer, in OpenAI's form; to a key, what it may use of it."""
        return {"object": "list", "data": await offered(request)}

    @router.get("/v1/models/{model_id:path}")
    async def model(model_id: str, request: Request) -> dict[str, Any]:
        """One of them."""
        for found in await offered(request):
            if found["id"] == model_id:
                return found
        text = f"The model '{model_id[:128]}' does not exist: no worker offers it."
        raise ApiError(404, "model_not_found", text, param="model")

    @router.get("/metrics", include_in_schema=False)
    async def scrape() -> Response:
        """Prometheus text."""
        return Response(metrics.render(), media_type=metrics.media_type)

    return router


def list_models(offers: Iterable[WorkerOffer]) -> list[dict[str, Any]]:
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
