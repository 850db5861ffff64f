"""Start a run. Every call that does so takes the same steps: authenticate, read, parse, check, submit."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from gateway.access.authenticator import Authenticator
from gateway.access.caller import Caller
from gateway.fanout.local_viewers import LocalViewers
from gateway.http.errors import gateway_stopping, too_many_viewers
from gateway.runs.chat_request import ChatRequest
from gateway.runs.on_disconnect import DisconnectPolicy
from gateway.runs.submit import RunSubmitter, SubmittedRun

ParseBody = Callable[[bytes], ChatRequest]
"""A request's body -> the run it asks for. Raises: ApiError 400."""


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A submitted run. `cancels`: whether the run is cancelled when the caller disconnects."""

    caller: Caller
    chat: ChatRequest
    submitted: SubmittedRun
    cancels: bool

    @property
    def stream_id(self) -> str:
        return self.submitted.stream_id


class RunStarter:
    """Starts runs for the routes. Submits a run only if every check has passed."""

    def __init__(
        self,
        authenticator: Authenticator,
        submitter: RunSubmitter,
        disconnects: DisconnectPolicy,
        local_viewers: LocalViewers,
    ) -> None:
        self._authenticator = authenticator
        self._submitter = submitter
        self._disconnects = disconnects
        self._local_viewers = local_viewers

    async def start(self, request: Request, parse: ParseBody, key: str | None) -> BegunRun:
        """Starts a run for a caller who does not wait for the answer. `key` is the Idempotency-Key.

        Raises: ApiError, BrokerUnavailableError, BrokerRefusedError.
        """
        caller, chat = await self._authenticate_and_parse(request, parse)
        return BegunRun(caller, chat, await self._submitter.submit(caller, chat, key), cancels=False)

    async def start_watched(
        self, request: Request, parse: ParseBody, key: str | None, on_disconnect: str | None
    ) -> BegunRun:
        """Starts a run for a caller who is also its first viewer. `on_disconnect` is the header X-On-Disconnect.

        Raises: as `start`; also ApiError 503 while this gateway stops or has no room for another viewer.
        """
        caller, chat = await self._authenticate_and_parse(request, parse)
        cancels = self._disconnects.cancels(on_disconnect)
        if self._local_viewers.draining:
            raise gateway_stopping("This gateway is being stopped. Nothing was started.")
        if not self._local_viewers.has_room():
            raise too_many_viewers()
        return BegunRun(caller, chat, await self._submitter.submit(caller, chat, key), cancels)

    def cancel_on_disconnect(self, run: BegunRun) -> Callable[[], None] | None:
        """A function that cancels the run, to call when the caller disconnects. None if the run then continues."""
        return (lambda: self._disconnects.cancel(run.stream_id)) if run.cancels else None

    async def _authenticate_and_parse(self, request: Request, parse: ParseBody) -> tuple[Caller, ChatRequest]:
        caller = await self._authenticator.authenticate_start(request)
        return caller, parse(await self._submitter.read(request))
