"""Calls about the service itself: is the gateway alive, is it ready, which models there are, and metrics."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from fastapi import FastAPI, Request
from starlette.responses import Response

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.topology import kind_of
from contract.worker_registry import WorkerOffer, read_offers
from gateway.access.authenticator import Authenticator
from gateway.fanout.local_viewers import LocalViewers
from gateway.http.errors import ApiError
from gateway.http.json_response import JsonResponse
from gateway.metrics import Metrics
from gateway.routes.models import Error, Health, Model, ModelList, Readiness
from gateway.routes.openapi import document

OFFERS_LIMIT_S = 2.0
"""`/metrics` waits this long for Redis: Prometheus gives up after ten seconds, and then gets no metrics at all."""


class ServiceRoutes:
    """Health, readiness, models and metrics."""

    def __init__(
        self, client: Client, authenticator: Authenticator, local_viewers: LocalViewers, metrics: Metrics
    ) -> None:
        self._client = client
        self._authenticator = authenticator
        self._local_viewers = local_viewers
        self._metrics = metrics

    def register(self, app: FastAPI) -> None:
        app.add_api_route(
            "/healthz",
            self.healthz,
            methods=["GET"],
            response_model=Health,
            **document("isAlive", tag="service", responses={503: {"model": Health | Error}}),
        )
        app.add_api_route(
            "/readyz",
            self.readyz,
            methods=["GET"],
            response_model=Readiness,
            **document("isReady", tag="service", responses={503: {"model": Readiness | Error}}),
        )
        app.add_api_route("/healthz", self.healthz, methods=["HEAD"], include_in_schema=False)
        app.add_api_route("/readyz", self.readyz, methods=["HEAD"], include_in_schema=False)
        app.add_api_route(
            "/v1/models",
            self.models,
            methods=["GET"],
            response_model=ModelList,
            **document("listModels", tag="service", errors=(401,)),
        )
        app.add_api_route(
            "/v1/models/{model_id:path}",
            self.model,
            methods=["GET"],
            response_model=Model,
            **document("readModel", tag="service", errors=(401, 404)),
        )
        app.add_api_route("/metrics", self.metrics, methods=["GET"], include_in_schema=False)

    async def healthz(self) -> JsonResponse:
        """200 while the process serves, 503 while it drains."""
        draining = self._local_viewers.draining
        return JsonResponse(Health(draining=draining), 503 if draining else 200)

    async def readyz(self) -> JsonResponse:
        """200 if a run can be started and watched now."""
        try:
            workers, redis = len(await read_offers(self._client)), True
        except (BrokerUnavailableError, BrokerRefusedError):
            workers, redis = 0, False
        draining = self._local_viewers.draining
        ready = redis and workers > 0 and not draining
        body = Readiness(
            ready=ready, redis=redis, workers=workers, draining=draining, topology=kind_of(self._client.topology)
        )
        return JsonResponse(body, 200 if ready else 503)

    async def models(self, request: Request) -> JsonResponse:
        """The models that live workers offer, in OpenAI's form. A caller with a key sees those the key may use."""
        return JsonResponse(ModelList(object="list", data=await self._list_models(request)))

    async def model(self, model_id: str, request: Request) -> JsonResponse:
        """One of the models that live workers offer."""
        for model in await self._list_models(request):
            if model.id == model_id:
                return JsonResponse(model)
        text = f"The model '{model_id[:128]}' does not exist: no worker offers it."
        raise ApiError(404, "model_not_found", text, param="model")

    async def metrics(self) -> Response:
        """Prometheus text. Without Redis it lacks only what the workers announce there."""
        offers = None
        with suppress(BrokerUnavailableError, BrokerRefusedError, TimeoutError):
            async with asyncio.timeout(OFFERS_LIMIT_S):
                offers = await read_offers(self._client)
        return Response(self._metrics.render(offers), media_type=self._metrics.media_type)

    async def _list_models(self, request: Request) -> list[Model]:
        key = self._authenticator.find_key(request)
        models = list_models(await read_offers(self._client))
        return [model for model in models if key is None or key.may_use(model.id)]


def list_models(offers: Iterable[WorkerOffer]) -> list[Model]:
    """Each model once. The default model of a worker comes before its other models."""
    models = {}
    for offer in offers:
        for model in sorted(offer.models, key=lambda model: model.id != offer.default_model):
            models[model.id] = Model(id=model.id, object="model", created=model.created, owned_by=model.owned_by)
    return list(models.values())
