"""The stack of the top-level docker-compose.yml, under a project name of its own. Runs `docker compose`, and waits."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from tests.house.tree import ROOT

COMPOSE_FILE = ROOT / "docker-compose.yml"
UP_DEADLINE_S = 600
FREE_PORT = "0"
"""The engine takes one."""
# Set, so that neither the caller's environment nor a .env beside the file has a test ask a real provider, or let in
# whom it does not expect.
SETTINGS = {
    **dict.fromkeys(("OPENAI_API_KEY", "OPENAI_BASE_URL", "MANYCAST_DEFAULT_MODEL", "MANYCAST_LIST_RUNS"), ""),
    **dict.fromkeys(("MANYCAST_KEYS", "MANYCAST_KEYS_FILE", "MANYCAST_PASSWORD", "MANYCAST_SIGNING_KEYS"), ""),
    **dict.fromkeys(("MANYCAST_PASSWORD_FILE", "MANYCAST_SIGNING_KEYS_FILE", "OPENAI_API_KEY_FILE"), ""),
    **dict.fromkeys(("MANYCAST_HOSTS", "SITE_ADDRESS", "MANYCAST_TRUSTED_PROXIES", "MANYCAST_USER_HEADER"), ""),
    "MANYCAST_SCRIPTS": "",
    "MANYCAST_BIND": "127.0.0.1",
    "MANYCAST_PORT": FREE_PORT,
    "MANYCAST_HTTP_PORT": f"127.0.0.1:{FREE_PORT}",
    "MANYCAST_HTTPS_PORT": f"127.0.0.1:{FREE_PORT}",
}


@cache
def lacking_engine() -> str | None:
    """Why the stack cannot run on this machine, in one line, or None."""
    try:
        for command in (["docker", "compose", "version"], ["docker", "info"]):
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
            if done.returncode != 0:
                return f"no Docker engine: {(done.stderr or done.stdout).strip().splitlines()[-1]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no Docker engine: {error}"
    return None


def docker(*arguments: str, settings: Mapping[str, str] = SETTINGS) -> str:
    """What `docker …` printed. Raises: AssertionError with what it said, where it fails."""
    done = subprocess.run(
        ["docker", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **settings},
        timeout=UP_DEADLINE_S,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Stack:
    """One project of the compose file and its overlays, and the settings it is run with."""

    project: str
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)
    overlays: tuple[str, ...] = ()

    def set_up(self, **settings: str) -> "Stack":
        """The same project with other settings, which hold from its next `up` on."""
        return replace(self, settings={**self.settings, **settings})

    def compose(self, *arguments: str) -> str:
        files = [word for file in (str(COMPOSE_FILE), *self.overlays) for word in ("-f", file)]
        words = ("compose", *files, "-p", self.project, *arguments)
        return docker(*words, settings=self.settings)

    def build(self) -> None:
        """Makes the images of our services."""
        self.compose("build")

    def up(self, gateways: int, workers: int) -> None:
        """Starts what does not run, and scales; returns when every service is healthy."""
        scale = ["--scale", f"gateway={gateways}", "--scale", f"worker={workers}"]
        try:
            self.compose("up", "--no-build", "--wait", "--wait-timeout", "180", *scale)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.compose('logs', '--tail', '40')}") from None

    def address(self) -> str:
        """Where the web service is published."""
        return f"http://{self.published('web', 8080)}"

    def published(self, service: str, port: int) -> str:
        """The address and port of this machine that lead to a port of the service."""
        return self.compose("port", service, str(port)).strip()

    def containers(self, service: str) -> list[str]:
        """The ids of the running containers of a service."""
        return self.compose("ps", "--quiet", service).split()

    def clear(self) -> None:
        """Removes what a run before this one left, if it was killed."""
        self.compose("down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "5")
        docker("image", "prune", "--force", "--filter", self._label)

    def leftovers(self) -> list[str]:
        """What the engine still keeps of this project: containers, networks, volumes, images."""
        kept = docker("ps", "--all", "--quiet", "--filter", self._label).split()
        for kind in ("network", "volume", "image"):
            kept += docker(kind, "ls", "--quiet", "--filter", self._label).split()
        return kept

    @property
    def _label(self) -> str:
        return f"label=com.docker.compose.project={self.project}"


def inspected(container: str) -> dict[str, Any]:
    """What the engine says of a container."""
    answer: dict[str, Any]
    (answer,) = json.loads(docker("inspect", container))
    return answer


def check_rights(container: str, *, is_published: bool) -> None:
    """Raises: AssertionError, where the container may do more than its program needs."""
    host = inspected(container)["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] > 0
    assert any(limit["Name"] == "nofile" for limit in host["Ulimits"])
    assert bool(host["PortBindings"]) == is_published
    status = docker("exec", container, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in fields["Uid"].split(), "its process is root"
    assert int(fields["CapEff"], 16) == 0
