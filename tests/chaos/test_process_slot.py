"""Which ends of a process count as crashes."""

import os
import sys
from pathlib import Path

import pytest

from manycast.chaos import process_slot
from manycast.chaos.process_slot import ProcessSlot
from tests.viewers import until

READY = "print('ready', flush=True); time.sleep(600)"
STARTING = f"import time; {READY}"
ENDS_ITSELF = f"import os, signal, time; signal.signal(signal.SIGTERM, lambda *_: os._exit(3)); {READY}"
ENDS_WELL = f"import os, signal, time; signal.signal(signal.SIGTERM, lambda *_: os._exit(0)); {READY}"
IS_KILLED = f"import os, signal, time; signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), 9)); {READY}"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the age of the process counts")
@pytest.mark.parametrize(
    ("program", "crashes"),
    [(STARTING, 0), (ENDS_WELL, 0), (ENDS_ITSELF, 1), (IS_KILLED, 1)],
    ids=["no handler yet", "ends well", "ends with an error", "is killed"],
)
async def test_a_process_crashes_at_a_stop_only_if_it_handles_the_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, crashes: int
) -> None:
    """However old it is: on a busy machine a process may need long for its start."""
    monkeypatch.setattr(process_slot, "STARTUP_GRACE_S", 0.0)
    slot = ProcessSlot("part", [sys.executable, "-c", program], os.environ, tmp_path)
    await slot.start()
    await until(lambda: b"ready" in slot.log_path.read_bytes())
    await slot.drain()
    assert len(slot.crashes) == crashes, slot.crashes
