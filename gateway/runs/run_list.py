"""The list of recent runs, for developers. Every caller who may read it sees prompts, so it is off by default."""

import asyncio
import json
import logging
from typing import Any

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.log_redaction import abbreviate
from contract.presence import read_viewers_by_gateway
from contract.recent_runs import KEPT_RUNS, RecentRun, add_recent_run, read_recent_runs
from contract.run_record import read_run
from contract.stream_id import is_private
from gateway.access.caller import Caller
from gateway.runs.describe import describe

logger = logging.getLogger(__name__)


class RunList:
    """Notes runs as they start, and lists them; none is listed for longer than `lifetime_ms`."""

    def __init__(self, client: Client, lifetime_ms: int) -> None:
        self._client = client
        self._lifetime_ms = lifetime_ms

    async def note(self, stream_id: str, request: bytes) -> None:
        """A run was queued. Whether it can be noted is not the caller's concern: it runs all the same."""
        try:
            await add_recent_run(self._client, RecentRun(stream_id, read_prompt(request)), self._lifetime_ms)
        except (BrokerUnavailableError, BrokerRefusedError) as error:
            logger.warning("run %s is missing in the list: %s", abbreviate(stream_id), error)

    async def read(self, caller: Caller, limit: int) -> list[dict[str, Any]]:
        """As `GET /v1/streams/{id}`, with `prompt` and `gateways`; the newest first, without the expired, and without
        those of others, unless this caller sees all.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        # Whose they are stands in their records: others' runs must not take the room of this caller's.
        runs = await read_recent_runs(self._client, limit if caller.sees_all else KEPT_RUNS)
        found = await asyncio.gather(*(self._describe(run, caller) for run in runs))
        return [run for run in found if run is not None][:limit]

    async def _describe(self, run: RecentRun, caller: Caller) -> dict[str, Any] | None:
        record = await read_run(self._client, run.stream_id)
        if record is None or not (caller.sees_all or caller.owns(record.caller)):
            return None
        gateways = await read_viewers_by_gateway(self._client, run.stream_id)
        # To see that it ran is not to see what was asked.
        is_open = not is_private(run.stream_id) or caller.owns(record.caller)
        told = {"prompt": run.prompt if is_open else "", "viewers": sum(gateways.values()), "gateways": gateways}
        return {**describe(run.stream_id, record), **told}


def read_prompt(request: bytes) -> str:
    """The text of the last thing the user said, or "". Whatever shape it has: it is a provider's business."""
    texts = [_text_of(each.get("content")) for each in json.loads(request)["messages"] if each.get("role") == "user"]
    return texts[-1] if texts else ""


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return " ".join(part for part in parts if isinstance(part, str))
