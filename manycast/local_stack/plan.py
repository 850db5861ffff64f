"""Builds the commands and environments of the programs that `up` runs. Starts nothing."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from contract.keys import KeySpace
from manycast.local_stack.child import Program

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""The directory that contains our packages, and in a clone also `web`."""
PAGE_FOLDERS = (Path(__file__).resolve().parents[1] / "web", PROJECT_ROOT / "web")
"""Where the page's files are: in an installation, and in a clone."""
GATEWAY_GRACE_S = 15.0
WORKER_GRACE_S = 60.0
SIMULATOR_GRACE_S = 5.0
KEY, PROVIDER, PROVIDERS = "OPENAI_API_KEY", "OPENAI_BASE_URL", "MANYCAST_PROVIDERS"
KEY_SOURCES = (KEY, PROVIDER, f"{KEY}_FILE", f"{PROVIDER}_FILE")
"""A file may hold the value of a variable (contract/settings.py)."""
SYSTEM_NAMES = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}
SYSTEM_PREFIXES = ("LC_", "PYTHON", "COVERAGE_")
GATEWAY_SECRETS = tuple(
    f"MANYCAST_{name}{source}"
    for name in ("PASSWORD", "KEYS", "SIGNING_KEYS", "API_KEY", "PROXY_SECRET")
    for source in ("", "_FILE")
)


@dataclass(frozen=True)
class Plan:
    """The options of `up`. Without `redis_url`, `up` runs an embedded broker with its data in `data`.

    `environ` is this process's environment. Each part gets only what it needs of it. If it has no key, URL
    or table of providers, `up` runs the simulator. `command` is what to type to call `manycast`, and `started_with`
    what to type to start this stack on another port, which follows.
    """

    host: str
    port: int
    redis_url: str | None
    keys: KeySpace
    data: Path
    environ: Mapping[str, str]
    command: str = "manycast"
    started_with: str = "manycast up --port "
    reload: Path | None = None
    """The folder of scripts; a change in it restarts the worker."""

    @property
    def has_provider(self) -> bool:
        return any(self.environ.get(name) for name in (*KEY_SOURCES, PROVIDERS))

    def environ_of(self, *prefixes: str) -> dict[str, str]:
        """The variables that every Python program needs, and those whose names begin with one of the prefixes."""
        kept = {
            name: value
            for name, value in self.environ.items()
            if name in SYSTEM_NAMES or name.startswith((*SYSTEM_PREFIXES, *prefixes))
        }
        return kept | self._python

    @property
    def worker_environ(self) -> dict[str, str]:
        """Everything except the gateway's secrets: the user's own generator may need any variable."""
        # `up` has read the file of REDIS_URL.
        removed = (*KEY_SOURCES, "REDIS_URL_FILE", *GATEWAY_SECRETS)
        kept = {name: value for name, value in self.environ.items() if name not in removed}
        return kept | self._python

    @property
    def _python(self) -> dict[str, str]:
        path = [str(PROJECT_ROOT), *filter(None, [self.environ.get("PYTHONPATH")])]
        return {"PYTHONPATH": ":".join(path), "PYTHONUNBUFFERED": "1"}


def gateway_program(plan: Plan, redis_url: str, port: int, share_url: str | None) -> Program:
    """`share_url`: the address for other devices."""
    environ = plan.environ_of("MANYCAST_") | {"REDIS_URL": redis_url, "MANYCAST_HOST": plan.host}
    environ["MANYCAST_PORT"] = str(port)
    if page := next((folder for folder in PAGE_FOLDERS if (folder / "pages").is_dir()), None):
        environ.setdefault("MANYCAST_WEB_DIR", str(page))
    if plan.host in ("127.0.0.1", "::1", "localhost"):
        environ.setdefault("MANYCAST_LIST_RUNS", "1")  # only people at this computer see the prompts
    if share_url:
        environ.setdefault("MANYCAST_SHARE_URL", share_url)
    return Program("gateway", _module("gateway"), environ, GATEWAY_GRACE_S)


def worker_program(plan: Plan, redis_url: str, simulator_port: int | None) -> Program:
    """The worker uses the simulator at `simulator_port`, or the provider from the environment if that is None."""
    environ = plan.worker_environ | {"REDIS_URL": redis_url}
    if simulator_port is None:
        environ |= {name: plan.environ[name] for name in KEY_SOURCES if plan.environ.get(name)}
    else:
        environ |= {KEY: "simulator", PROVIDER: f"http://127.0.0.1:{simulator_port}/v1"}
        environ.setdefault("MANYCAST_DEFAULT_MODEL", "demo")
        # Bypass any configured proxy: it cannot reach the loopback address of this computer.
        for name in ("NO_PROXY", "no_proxy"):
            environ[name] = ",".join(filter(None, [environ.get(name), "127.0.0.1"]))
    return Program("worker", _module("worker"), environ, WORKER_GRACE_S)


def script_check(worker: Program) -> Program:
    """Ends with 0 if the worker could use its scripts."""
    return replace(worker, argv=[*worker.argv, "--check-scripts"])


def simulator_program(plan: Plan, port: int) -> Program:
    environ = plan.environ_of("SIMULATOR_") | {"SIMULATOR_HOST": "127.0.0.1", "SIMULATOR_PORT": str(port)}
    return Program("simulator", _module("simulator"), environ, SIMULATOR_GRACE_S)


def _module(name: str) -> list[str]:
    # -P: do not import a worker.py from the current directory.
    return [sys.executable, "-P", "-m", name]
