"""Start a run. Every call that does so takes the same steps: authenticate, read, parse, check, submit."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from fastapi import Request

from gateway.access.authenticator import Authenticator
from gateway.access.caller import Caller
from gateway.fanout.local_viewers import LocalViewers
from gateway.http.body import BodyBudget
from gateway.http.errors import gateway_stopping, too_many_viewers
from gateway.runs.chat_request import ChatRequest, Turn
from gateway.runs.on_disconnect import DisconnectPolicy, Policy
from gateway.runs.passed_fields import PassedFields
from gateway.runs.submit import RunSubmitter, SubmittedRun

ParseBody = Callable[[Caller, bytes], Awaitable[ChatRequest]]
"""A caller and the body of a request -> the run it asks for. Raises: ApiError, BrokerUnavailableError,
BrokerRefusedError."""


def parsing(parse: Callable[[bytes], ChatRequest]) -> ParseBody:
    """For a body that means the same from every caller. `parse` raises ApiError 400."""

    async def parse_body(_: Caller, body: bytes) -> ChatRequest:
        return parse(body)

    return parse_body


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A submitted run, without the body of its request. The fields of a ChatRequest say how to answer its caller.

    `when_gone` must be called when the caller disconnects before the end; None if the run then continues.
    """

    caller: Caller
    private: bool
    stream: bool
    dialect: str
    turn: Turn | None
    submitted: SubmittedRun
    when_gone: Callable[[], None] | None

    @property
    def stream_id(self) -> str:
        return self.submitted.stream_id


class RunStarter:
    """Starts runs for the routes. Submits a run only if every check has passed."""

    def __init__(
        self,
        authenticator: Authenticator,
        bodies: BodyBudget,
        submitter: RunSubmitter,
        disconnects: DisconnectPolicy,
        local_viewers: LocalViewers,
        *,
        passed: PassedFields,
    ) -> None:
        self._authenticator = authenticator
        self._bodies = bodies
        self._submitter = submitter
        self._disconnects = disconnects
        self._local_viewers = local_viewers
        self._passed = passed

    async def start(self, request: Request, parse: ParseBody, key: str | None) -> BegunRun:
        """Starts a run for a caller who does not wait for the answer. `key` is the Idempotency-Key.

        Raises: ApiError, BrokerUnavailableError, BrokerRefusedError.
        """
        caller = await self._authenticator.authenticate_start(request)
        async with self._bodies.read(request) as body:
            chat = await parse(caller, body)
            return await self._submit(request, caller, chat, key, "continue")

    async def start_watched(
        self,
        request: Request,
        parse: ParseBody,
        key: str | None,
        on_disconnect: str | None,
        *,
        retries: int | None = None,
        may_return: bool = False,
    ) -> BegunRun:
        """Starts a run for a caller who is also its first viewer. `on_disconnect` is the header X-On-Disconnect; for
        `retries` see `RunSubmitter.submit`, for `may_return` see `DisconnectPolicy.choose`.

        Raises: as `start`; also ApiError 503 while this gateway stops or has no room for another viewer.
        """
        caller = await self._authenticator.authenticate_start(request)
        async with self._bodies.read(request) as body:
            chat = await parse(caller, body)
            policy = self._disconnects.choose(on_disconnect, may_return=may_return or key is not None)
            if self._local_viewers.draining:
                raise gateway_stopping("This gateway is being stopped. Nothing was started.")
            if not self._local_viewers.has_room():
                raise too_many_viewers()
            return await self._submit(request, caller, chat, key, policy, retries=retries)

    async def _submit(
        self,
        request: Request,
        caller: Caller,
        chat: ChatRequest,
        key: str | None,
        policy: Policy,
        *,
        retries: int | None = None,
    ) -> BegunRun:
        passed = replace(self._passed.of(request), prompts=chat.prompts)
        chat = replace(chat, request=passed.added_to(chat.request))
        submitted = await self._submitter.submit(caller, chat, key, retries)
        when_gone = self._disconnects.when_gone(submitted.stream_id, policy)
        return BegunRun(caller, chat.private, chat.stream, chat.dialect, chat.turn, submitted, when_gone)
