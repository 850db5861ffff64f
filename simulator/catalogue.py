"""The list of models. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from simulator import demos, faults, tools
from simulator.chat_request import ChatRequest
from simulator.errors import OPTIONS_REFUSED, RATE_LIMITED, SERVER_FAILED, STREAM_REFUSED, UNAUTHORIZED, ApiError
from simulator.pace import WITHOUT_PAUSES, Pace
from simulator.quirks import QUIRKS
from simulator.script import Script

# The page and the command recognise the simulator by this name.
OWNER = "manycast-simulator"
CREATED_S = 1_767_225_600


@dataclass(frozen=True, slots=True)
class Model:
    """`pace` None is the environment's. `refusal` is answered `failures` times in a row, None for always.

    `streams_only`: it streams, even if the request does not ask for a stream. `takes_not`: it refuses only
    requests with this field. `is_listed`: `/v1/models` names it, so that a person may choose it.
    """

    name: str
    play: Callable[[ChatRequest], Script]
    pace: Pace | None = None
    refusal: ApiError | None = None
    failures: int | None = None
    streams_only: bool = False
    takes_not: Literal["stream", "stream_options"] | None = None
    is_listed: bool = True

    def card(self) -> dict[str, str | int]:
        """The model as `/v1/models` lists it."""
        return {"id": self.name, "object": "model", "created": CREATED_S, "owned_by": OWNER}


CATALOGUE = {
    model.name: model
    for model in (
        Model("demo", demos.play_demo),
        Model("demo-fast", demos.play_demo, pace=WITHOUT_PAUSES),
        Model("demo-long", demos.play_long_text),
        Model("demo-echo", demos.play_echo),
        Model("demo-tools", tools.play_tools),
        Model("demo-reasoning", demos.play_reasoning),
        Model("demo-choices", demos.play_choices),
        Model("fault-401", demos.play_text, refusal=UNAUTHORIZED),
        Model("fault-429", demos.play_text, refusal=RATE_LIMITED, failures=1),
        Model("fault-500", demos.play_text, refusal=SERVER_FAILED),
        Model("fault-stall-first", faults.play_stall_first),
        Model("fault-stall-middle", faults.play_stall_middle),
        Model("fault-drop", faults.play_drop),
        Model("fault-truncated", faults.play_truncated),
        Model("fault-error-frame", faults.play_error_frame),
        Model("fault-garbage", faults.play_garbage),
        Model("fault-surrogate", faults.play_surrogate),
        Model("fault-huge", faults.play_huge),
        Model("quirk-refuses-stream", demos.play_text, refusal=STREAM_REFUSED, takes_not="stream", is_listed=False),
        Model(
            "quirk-refuses-stream-options",
            demos.play_text,
            refusal=OPTIONS_REFUSED,
            takes_not="stream_options",
            is_listed=False,
        ),
        *(Model(quirk.model, quirk.play, streams_only=True, is_listed=False) for quirk in QUIRKS.values()),
    )
}
