"""Run a script again from one of its steps, and show developers what its steps have asked."""

import asyncio
from hashlib import sha256
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field

from contract.connection import Client
from contract.event import encode_json
from contract.job_queue import Beginning, Policy
from contract.passed import take_passed
from contract.position import START
from contract.prompts import SCRIPT_PREFIX, KeptRun, Prompts
from contract.questions import Questions
from contract.run_record import RunRecord, read_question, read_run
from contract.stream_id import is_private
from contract.stream_log import StreamLog
from gateway.access.caller import Caller
from gateway.dialects.registry import OPENAI
from gateway.http.body import parse_object
from gateway.http.errors import ApiError
from gateway.http.models import RequestBody, ResponseBody, Rule, check_body
from gateway.http.stream_urls import check_stream_id, no_such_stream
from gateway.runs.chat_request import ChatRequest, find_question
from gateway.runs.input_schema import find_problem
from gateway.runs.script_record import ScriptRecord, encode_record, is_place

RECORD_LIMIT_BYTES = 16 << 20
"""How much of a log is copied. A longer one takes too much memory at once."""
PROMPT_LIMIT_CHARS = 200_000


class RunAgainRequest(RequestBody):
    """From which step a script is to run again. `step`: the id of a step or a question. `prompt`: the text in place of
    the last message of this step. `value`: the answer in place of the one that the question got."""

    model_config = ConfigDict(extra="forbid")

    step: Annotated[str, Field(min_length=1, max_length=255), Rule("must be the id of a step")]
    prompt: Annotated[
        Annotated[str, Field(max_length=PROMPT_LIMIT_CHARS)] | None,
        Rule(f"must be a text of at most {PROMPT_LIMIT_CHARS} characters"),
    ] = None
    value: Any = None


class KeptPrompt(ResponseBody):
    """What a step has asked its model. `omitted`: how many messages came before these. `cut`: whether a text in them is
    not whole."""

    messages: list[Any]
    omitted: int
    cut: bool


class Origin(ResponseBody):
    """The run and the step from which a run goes on."""

    run: str
    step: str


class KeptPrompts(ResponseBody):
    """The prompts of a script's steps, by the ids of the steps. `again`: where the run goes on from, if it was run
    again. `kept`: whether the run keeps prompts, so that it can be run again."""

    id: str
    kept: bool
    again: Origin | None
    prompts: dict[str, KeptPrompt]


class _Change(NamedTuple):
    """What differs from the old run: the texts of steps, and the record's fields that hold the answer to a question."""

    prompts: dict[str, str]
    fields: dict[str, bytes]


class RunsAgain:
    """Reads what scripts have done, for developers. `is_open`: whether this gateway lists runs."""

    def __init__(self, client: Client, log: StreamLog, *, is_open: bool) -> None:
        self._client = client
        self._log = log
        self._is_open = is_open
        self.copying = asyncio.Lock()
        """Hold it from `parse` until the run is submitted: a record may take a hundred megabytes meanwhile."""
        self._prompts = Prompts(client)
        self._questions = Questions(client)

    async def read_prompts(self, caller: Caller, stream_id: str) -> KeptPrompts:
        """Raises: ApiError 400, 403, 404, BrokerUnavailableError, BrokerRefusedError."""
        await self._check_developer(caller, stream_id)
        kept, prompts = await self._prompts.read_run(stream_id), await self._prompts.read(stream_id)
        return KeptPrompts(
            id=stream_id,
            kept=kept is not None,
            again=Origin(**kept.again) if kept and kept.again else None,
            prompts={step: KeptPrompt(**prompt) for step, prompt in prompts.items()},
        )

    async def parse(self, caller: Caller, stream_id: str, body: bytes) -> ChatRequest:
        """The run that goes on from a step of another one. Raises: ApiError, BrokerUnavailableError,
        BrokerRefusedError."""
        record = await self._check_developer(caller, stream_id)
        asked = check_body(RunAgainRequest, parse_object(body))
        kept = await self._find_kept(stream_id, record)
        past = await self._read_record(stream_id)
        kind = past.kind_of(asked.step) if is_place(asked.step) else None
        if kind is None:
            raise ApiError(404, "no_such_step", f"The run has no step '{asked.step[:64]}'.", param="step")
        change = await self._check_change(caller, stream_id, asked, kind)
        request, passed = take_passed(kept.request)
        earlier = {step: text for step, text in passed.prompts.items() if past.comes_before(step, asked.step)}
        texts = await self._copy_prompts(stream_id, past, asked.step)
        origin = encode_json({"run": stream_id, "step": asked.step})
        shown = await read_question(self._client, stream_id)

        async def begin(new_id: str) -> Beginning:
            # In a thread: a large record takes a second, in which all viewers would wait.
            lines = await asyncio.to_thread(lambda: encode_record(past.before(asked.step), new_id))
            return Beginning(lines, {"again": origin, **texts, **change.fields})

        return ChatRequest(
            request=encode_json(request),
            digest=sha256(f"again {stream_id} ".encode() + body).hexdigest(),
            model=record.model,
            policy=Policy(),
            private=is_private(stream_id),
            stream=False,
            dialect=OPENAI,
            prompt_chars=len(asked.prompt or ""),
            question=find_question(request["messages"]),
            shows_question=bool(shown),
            prompts={**earlier, **change.prompts},
            beginning=begin,
        )

    async def _check_developer(self, caller: Caller, stream_id: str) -> RunRecord:
        """Raises: ApiError 403 for whoever does not see this run, with its prompt, in the list of runs."""
        if not self._is_open:
            message = "This server does not list runs. Set MANYCAST_LIST_RUNS=1 to list them."
            raise ApiError(403, "runs_not_listed", message)
        record = await read_run(self._client, check_stream_id(stream_id))
        if record is None:
            raise no_such_stream(stream_id)
        if not caller.owns(record.caller) and (is_private(stream_id) or not caller.sees_all):
            text = "Only those may read the prompts of a run who see it in the list of runs."
            raise ApiError(403, "prompts_not_shown", text, type_="permission_error")
        return record

    async def _find_kept(self, stream_id: str, record: RunRecord) -> KeptRun:
        kept = await self._prompts.read_run(stream_id)
        if kept is None or not record.model.startswith(SCRIPT_PREFIX):
            text = "Only a script can be run again, if MANYCAST_LIST_RUNS was set when it was started."
            raise ApiError(409, "not_repeatable", text)
        return kept

    async def _read_record(self, stream_id: str) -> ScriptRecord:
        past, size = ScriptRecord(), 0
        async for event in self._log.read(stream_id, START):
            size += len(event.data)
            if size > RECORD_LIMIT_BYTES:
                text = f"The log of this run has more than {RECORD_LIMIT_BYTES} bytes: it cannot be copied."
                raise ApiError(409, "record_too_large", text)
            past.add(event)
        return past

    async def _check_change(self, caller: Caller, stream_id: str, asked: RunAgainRequest, kind: str) -> _Change:
        is_question = kind == "input"
        if asked.prompt is not None and kind != "generate":
            text = f"'prompt': the step is a {'question' if is_question else kind} and asks no model."
            raise ApiError(400, "invalid_value", text, param="prompt")
        if "value" not in asked.model_fields_set:
            return _Change({} if asked.prompt is None else {asked.step: asked.prompt}, {})
        if not is_question:
            raise ApiError(400, "invalid_value", "'value': this step does not ask people anything.", param="value")
        question = await self._questions.find(stream_id, asked.step)
        if question is not None and (problem := find_problem(question, asked.value)):
            raise ApiError(422, "invalid_input", problem, param="value")
        answer = {"value": asked.value, "by": caller.name or None}
        return _Change({}, {f"input:{asked.step}": encode_json(answer)})

    async def _copy_prompts(self, stream_id: str, past: ScriptRecord, step: str) -> dict[str, bytes]:
        """The fields of the new run's record that hold the prompts of the steps before."""
        prompts = await self._prompts.read(stream_id)
        kept = {f"prompt:{one}": encode_json(prompt) for one, prompt in prompts.items() if past.comes_before(one, step)}
        return {**kept, "prompts": b"%d" % sum(map(len, kept.values()))}
