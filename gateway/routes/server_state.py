"""`GET /v1/server`: what this server runs on, for its operators: the broker, and the workers with their providers."""

from typing import Any

from fastapi import FastAPI, Request

from contract.connection import Client, call_redis
from contract.errors import BrokerRefusedError
from contract.topology import kind_of
from contract.worker_registry import WorkerOffer, read_offers
from gateway.access.authenticator import Authenticator
from gateway.http.json_response import JsonResponse
from gateway.routes.models import BrokerState, ServerState, SourceState, TopologyKind, WorkerState
from gateway.routes.openapi import document


class ServerStateRoutes:
    """Only callers who may start runs may see it: it names hosts of the operator's network."""

    def __init__(self, client: Client, authenticator: Authenticator) -> None:
        self._client = client
        self._authenticator = authenticator

    def register(self, app: FastAPI) -> None:
        app.add_api_route(
            "/v1/server",
            self.read,
            methods=["GET"],
            response_model=ServerState,
            **document("readServer", tag="service", errors=(401, 403, 429)),
        )

    async def read(self, request: Request) -> JsonResponse:
        """What this server runs on."""
        await self._authenticator.authenticate(request)
        try:
            info = await call_redis(self._client, "INFO")
        except BrokerRefusedError:
            # The gateway's user of Redis may lack the right to INFO.
            info = {}
        offers = await read_offers(self._client)
        workers = [_describe_worker(one) for one in offers]
        nodes = sorted(map(str, await self._client.places()))
        broker = _describe_broker(info, kind_of(self._client.topology), nodes)
        return JsonResponse(ServerState(broker=broker, workers=workers))


def _describe_broker(info: dict[str, Any], topology: TopologyKind, nodes: list[str]) -> BrokerState:
    is_valkey = info.get("server_name") == "valkey"
    version = info.get("valkey_version" if is_valkey else "redis_version")
    return BrokerState(
        topology=topology,
        nodes=nodes,
        name="valkey" if is_valkey else "redis",
        version=None if version is None else str(version),
        append_only=bool(int(info["aof_enabled"])) if "aof_enabled" in info else None,
        memory_limit_bytes=int(info["maxmemory"]) if "maxmemory" in info else None,
        memory_policy=str(info["maxmemory_policy"]) if "maxmemory_policy" in info else None,
    )


def _describe_worker(offer: WorkerOffer) -> WorkerState:
    return WorkerState(
        generator=offer.generator or None,
        default_model=offer.default_model or None,
        models=len(offer.models),
        providers=[SourceState(name=one.name, url=one.url, problem=one.problem or None) for one in offer.providers],
    )
