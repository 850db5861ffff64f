"""The live workers and the models that they offer."""

import json
from dataclasses import asdict, dataclass

from contract.connection import Client, call_redis
from contract.event import encode_json
from contract.scripts import Call, run_call

LIFETIME_MS = 7000
"""How long a registration holds. Workers renew it every second, so several announcements may fail."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model, as its provider lists it; `created` is in Unix seconds."""

    id: str
    owned_by: str
    created: int


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A provider as a worker sees it. `url` has no secrets. `problem` says in words why it lists no models, or is
    empty."""

    name: str
    url: str
    problem: str


@dataclass(frozen=True, slots=True)
class WorkerOffer:
    """What one worker can run, and with what. Without `models` it passes any model on to its provider. `generator` is
    the operator's own MANYCAST_GENERATOR, or empty. `runs`: how many it runs now, of at most `slots`."""

    models: tuple[Model, ...]
    default_model: str
    generator: str = ""
    providers: tuple[ProviderState, ...] = ()
    runs: int = 0
    slots: int = 0


async def announce(client: Client, worker: str, lifetime_ms: int, offer: WorkerOffer) -> None:
    """Announces `worker` for the next `lifetime_ms`. Raises: BrokerUnavailableError, BrokerRefusedError."""
    arguments = (worker, lifetime_ms, encode_json(asdict(offer)))
    await run_call(client, Call("announce", (client.key_space.workers, client.key_space.offers), arguments))


async def leave(client: Client, worker: str) -> None:
    """Removes `worker` from the registry. Raises: BrokerUnavailableError, BrokerRefusedError."""
    await run_call(client, Call("announce", (client.key_space.workers, client.key_space.offers), (worker, 0, b"")))


async def read_offers(client: Client) -> list[WorkerOffer]:
    """The offers of the live workers, one for each. Raises: BrokerUnavailableError, BrokerRefusedError."""
    replies: list[bytes] = await run_call(
        client, Call("read_offers", (client.key_space.workers, client.key_space.offers), ())
    )
    return [_parse(reply) for reply in replies]


async def read_workers(client: Client) -> list[str]:
    """The names of the live workers. Some may have died a moment ago.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    return [name.decode() for name in await call_redis(client, "ZRANGE", client.key_space.workers, 0, -1)]


async def read_silent_workers(client: Client, silence_ms: int) -> set[str]:
    """The registered workers that have not announced themselves for `silence_ms`: they are dead, frozen, or cut off.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    call = Call("read_silent_workers", (client.key_space.workers,), (LIFETIME_MS, silence_ms))
    names: list[bytes] = await run_call(client, call)
    return {name.decode() for name in names}


def _parse(reply: bytes) -> WorkerOffer:
    value = json.loads(reply)
    # A newer worker may send more fields; they are ignored.
    models = tuple(Model(model["id"], model["owned_by"], model["created"]) for model in value.get("models", ()))
    providers = tuple(ProviderState(one["name"], one["url"], one["problem"]) for one in value.get("providers", ()))
    return WorkerOffer(
        models,
        value.get("default_model", ""),
        value.get("generator", ""),
        providers,
        value.get("runs", 0),
        value.get("slots", 0),
    )
