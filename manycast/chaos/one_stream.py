"""Plays one planned stream: requests it, repeats the request, cancels it, and runs all its viewers.

Nothing here has a time limit. `run.py` cancels a stream that does not end, and the checker reports it.
"""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from contract.event import Event
from contract.position import START, Position
from manycast.chaos.answer import read_whole
from manycast.chaos.chain_script import QUESTION_ID
from manycast.chaos.evidence import StreamRecord
from manycast.chaos.redis_state import RedisState
from manycast.chaos.script_answer import answer_of_chain, answer_of_example
from manycast.chaos.script_run import read_open_questions
from manycast.chaos.viewer import Viewer
from manycast.chaos.workload import PersonPlan, StreamPlan
from manycast.client.errors import ManycastError, RefusedError
from manycast.client.transport import Transport

RETRY_S = 0.3
MODELS_WITHOUT_ANSWER = frozenset({"fault-401", "fault-500"})
"""The provider refuses these models, so there is no answer to compare with."""


class OneStream:
    """`record` is filled while the stream runs."""

    def __init__(
        self, plan: StreamPlan, seed: int, gateways: Sequence[Transport], provider: Transport, redis_state: RedisState
    ) -> None:
        self.record = StreamRecord(
            plan.name, plan.model, may_be_cancelled=plan.may_be_cancelled, user=str(plan.body["user"])
        )
        self._plan = plan
        self._seed = seed
        self._gateways = gateways
        self._provider = provider
        self._redis_state = redis_state
        self._rng = random.Random(f"play {seed} {plan.name}")  # noqa: S311 -- a plan, not a secret

    async def run(self) -> None:
        """Returns when the stream has ended for every viewer. If cancelled, `record` keeps the data collected so
        far."""
        plan, record = self._plan, self.record
        stream_id = await self._submit()
        urls = [gateway.base_url for gateway in self._gateways]
        viewers = [Viewer(each, self._seed, stream_id, urls) for each in plan.viewers]
        record.observations = [viewer.observation for viewer in viewers]
        async with asyncio.TaskGroup() as group:
            for viewer in viewers:
                group.create_task(viewer.watch(self._position_of_another(viewer)))
            for delay_s in plan.repeats_s:
                group.create_task(self._later(delay_s, self._submit))
            if plan.cancel_after_s is not None:
                group.create_task(self._later(plan.cancel_after_s, self._cancel))
            answering = [group.create_task(self._answer_chain(stream_id, person)) for person in plan.people]
            if plan.is_script and not plan.is_chain:
                answering.append(group.create_task(self._answer_all(stream_id)))
            await self._redis_state.wait_until_ended(stream_id)
            for task in answering:
                # The question may never have been asked.
                task.cancel()

    async def look_up(self) -> None:
        """Adds the log and the provider's own answer to `record`."""
        record = self.record
        if not record.ids:
            return
        record.status, record.log = await self._redis_state.read(record.id)
        if self._plan.is_script and not self._plan.is_chain:
            answer, record.paying = await answer_of_example(self._plan.script, self._plan.body, record.log)
            record.answer = answer if record.status == "completed" else None
        elif record.status == "completed" and record.model not in MODELS_WITHOUT_ANSWER:
            record.answer = await self._find_answer(record.log)

    def _position_of_another(self, viewer: Viewer) -> Callable[[], Position]:
        others = [each for each in self.record.observations if each is not viewer.observation]
        return lambda: self._rng.choice(others).position if others else START

    async def _later(self, delay_s: float, act: Callable[[], Any]) -> None:
        await asyncio.sleep(delay_s)
        await act()

    async def _submit(self) -> str:
        """Sends the request with the plan's idempotency key to random gateways until one accepts it. Returns the id."""
        content = json.dumps(self._plan.body).encode()
        answer = await self._call("/v1/streams", content, {"Idempotency-Key": self._plan.key})
        stream_id = str(answer["id"])
        self._cancel_url = answer["urls"]["cancel"]
        self.record.ids.add(stream_id)
        return stream_id

    async def _answer_chain(self, stream_id: str, person: PersonPlan) -> None:
        await asyncio.sleep(person.delay_s)
        await self._answer(stream_id, QUESTION_ID, person.value)

    async def _answer_all(self, stream_id: str) -> None:
        """Answers each question with its first choice as soon as the script asks it. Runs until cancelled."""
        while True:
            _, log = await self._redis_state.read(stream_id)
            for asked in read_open_questions(log):
                await self._answer(stream_id, asked["id"], (asked["choices"] or ["Rivers"])[0])
            await asyncio.sleep(RETRY_S)

    async def _answer(self, stream_id: str, question_id: str, value: str) -> None:
        """Answers the question as soon as it is asked, unless somebody else has."""
        content = json.dumps({"id": question_id, "value": value}).encode()
        while True:
            try:
                await self._rng.choice(self._gateways).call("POST", f"/v1/streams/{stream_id}/input", content)
            except RefusedError as refusal:
                if refusal.code != "no_such_question":
                    return
            except ManycastError:
                pass
            else:
                self.record.accepted.add((question_id, value))
                return
            await asyncio.sleep(RETRY_S)

    async def _cancel(self) -> None:
        answer = await self._call(self._cancel_url)
        self.record.cancel_statuses.add(str(answer["status"]))

    async def _call(self, path: str, content: bytes | None = None, headers: Any = None) -> dict[str, Any]:
        while True:
            try:
                return await self._rng.choice(self._gateways).call("POST", path, content, headers)
            except ManycastError:
                await asyncio.sleep(RETRY_S)

    async def _find_answer(self, log: list[Event]) -> list[str]:
        body = {name: value for name, value in self._plan.body.items() if name != "manycast"}
        body["simulator"] = {**body["simulator"], "first_chunk_ms": 0, "chunks_per_s": 0}
        if self._plan.is_chain:
            return await answer_of_chain(body, log, self._ask_provider)
        return read_whole(await self._ask_provider(body))

    async def _ask_provider(self, body: dict[str, Any]) -> dict[str, Any]:
        """Returns the provider's whole answer. Some models refuse the first requests, so this retries."""
        content = json.dumps(body).encode()
        while True:
            try:
                return await self._provider.call("POST", "/v1/chat/completions", content)
            except ManycastError:
                await asyncio.sleep(RETRY_S)
