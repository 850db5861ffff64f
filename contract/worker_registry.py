"""Which workers live, and what they offer."""

import json
from dataclasses import asdict, dataclass

from contract.connection import Client, call_redis
from contract.event import encode_json
from contract.keys import OFFERS, WORKERS
from contract.scripts import Call, run_call


@dataclass(frozen=True, slots=True)
class Model:
    """A model, as its provider lists it; `created` is in Unix seconds."""

    id: str
    owned_by: str
    created: int


@dataclass(frozen=True, slots=True)
class WorkerOffer:
    """What one worker can run. `models` may be empty: then it passes on whatever is asked."""

    models: tuple[Model, ...]
    default_model: str


async def announce(client: Client, worker: str, lifetime_ms: int, offer: WorkerOffer) -> None:
    """Says that `worker` lives for `lifetime_ms` more. Raises: BrokerUnavailableError, BrokerRefusedError."""
    arguments = (worker, lifetime_ms, encode_json(asdict(offer)))
    await run_call(client, Call("announce", (WORKERS, OFFERS), arguments))


async def leave(client: Client, worker: str) -> None:
    """Says that `worker` is gone. Raises: BrokerUnavailableError, BrokerRefusedError."""
    await run_call(client, Call("announce", (WORKERS, OFFERS), (worker, 0, b"")))


async def read_offers(client: Client) -> list[WorkerOffer]:
    """The offers of the workers that live, one each. Raises: BrokerUnavailableError, BrokerRefusedError."""
    replies: list[bytes] = await run_call(client, Call("read_offers", (WORKERS, OFFERS), ()))
    return [_parse(reply) for reply in replies]


async def read_workers(client: Client) -> list[str]:
    """The names of the workers that live, or did until a moment ago.

    Raises: BrokerUnavailableError, BrokerRefusedError.
    """
    return [name.decode() for name in await call_redis(client, "ZRANGE", WORKERS, 0, -1)]


def _parse(reply: bytes) -> WorkerOffer:
    value = json.loads(reply)
    # Only what is known here: a worker of a newer version may say more.
    models = tuple(Model(model["id"], model["owned_by"], model["created"]) for model in value.get("models", ()))
    return WorkerOffer(models, value.get("default_model", ""))
