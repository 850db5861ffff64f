"""The list of recent runs, for developers. It shows prompts to every caller, so it is off by default."""

import asyncio
import logging
from typing import Literal

from contract.connection import Client
from contract.errors import BrokerRefusedError, BrokerUnavailableError
from contract.presence import read_viewers_by_gateway
from contract.recent_runs import KEPT_RUNS, RecentRun, add_recent_run, read_recent_runs
from contract.run_record import read_run
from contract.stream_id import is_private
from gateway.access.caller import Caller
from gateway.http.models import ResponseBody
from gateway.runs.describe import Run, describe

logger = logging.getLogger(__name__)


class ListedRun(Run):
    """A run in the list. `prompt`: the start of the user's last message. `gateways`: viewers by gateway."""

    prompt: str
    gateways: dict[str, int]


class ListOfRuns(ResponseBody):
    """The latest runs, newest first."""

    object: Literal["list"]
    data: list[ListedRun]


class RunList:
    """Records runs as they start, and lists them for up to `lifetime_ms`."""

    def __init__(self, client: Client, lifetime_ms: int) -> None:
        self._client = client
        self._lifetime_ms = lifetime_ms

    async def add(self, stream_id: str, question: str) -> None:
        """Records a queued run. Logs a failure and does not raise it, because the run itself is not affected."""
        try:
            await add_recent_run(self._client, RecentRun(stream_id, question), self._lifetime_ms)
        except (BrokerUnavailableError, BrokerRefusedError) as error:
            logger.warning("run %s is missing from the list of runs: %s", stream_id, error)

    async def read(self, caller: Caller, limit: int, prefix: str) -> ListOfRuns:
        """At most `limit` runs, the newest first, without expired ones. A caller sees only its own runs unless it
        `sees_all`. `prefix`: of the URLs, see `urls_of`.

        Raises: BrokerUnavailableError, BrokerRefusedError.
        """
        # Only a run's record names its caller. Read all of them, so that other callers' runs do not use up the limit.
        runs = await read_recent_runs(self._client, limit if caller.sees_all else KEPT_RUNS)
        found = await asyncio.gather(*(self._describe(run, caller, prefix) for run in runs))
        return ListOfRuns(object="list", data=[run for run in found if run is not None][:limit])

    async def _describe(self, run: RecentRun, caller: Caller, prefix: str) -> ListedRun | None:
        record = await read_run(self._client, run.stream_id)
        if record is None or not (caller.sees_all or caller.owns(record.caller)):
            return None
        gateways = await read_viewers_by_gateway(self._client, run.stream_id)
        # Callers who see all runs still do not see the prompts of other callers' private runs.
        shows_prompt = not is_private(run.stream_id) or caller.owns(record.caller)
        described = describe(run.stream_id, record, sum(gateways.values()), prefix)
        return ListedRun(**dict(described), prompt=run.prompt if shows_prompt else "", gateways=gateways)
