"""`make sbom`: writes a software bill of materials in CycloneDX: what the product is made of, with versions and hashes.

It reads the pins, not what is installed: pip and npm install nothing whose hash is not pinned. npm's own command fails
on a lock file without addresses. A list without a package fails.
"""

import base64
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from tests.house.tree import ROOT

PYTHON_PINS = ("requirements.txt", "worker/socks.txt")
NPM_LOCK = "web/package-lock.json"
IMAGES = ("docker-compose.yml", "gateway/Dockerfile", "worker/Dockerfile", "simulator/Dockerfile", "web/Dockerfile")
SBOM = ROOT / "test-results" / "sbom.cdx.json"

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)((?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_IMAGE = re.compile(
    r"^\s*(?:image: \$\{\w+:-|ARG \w+_IMAGE=)([a-z0-9./-]+):([A-Za-z0-9._-]+)(?:@(sha256:[0-9a-f]{64}))?", re.M
)


class NothingListedError(Exception):
    """The message names the file in which no package was found."""


def make_sbom(files: Mapping[str, str]) -> Bom:
    """`files`: path -> text of all files that this module reads. Raises: NothingListedError."""
    bom = Bom()
    product = bom.metadata.component = Component(name="manycast", type=ComponentType.APPLICATION, bom_ref="manycast")
    readers = {**dict.fromkeys(PYTHON_PINS, _read_pins), NPM_LOCK: _read_lock, **dict.fromkeys(IMAGES, _read_images)}
    for path, read in readers.items():
        found = list(read(files[path]))
        if not found:
            raise NothingListedError(f"no package is listed in {path}")
        bom.components.update(found)
    bom.register_dependency(product, bom.components)
    return bom


def write_json(bom: Bom) -> str:
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)


def _read_pins(text: str) -> Iterator[Component]:
    for name, version, rest in _PIN.findall(text):
        normal = re.sub(r"[-_.]+", "-", name).lower()
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in _HASH.findall(rest)]
        yield _component(PackageURL("pypi", None, normal, version), hashes)


def _read_lock(text: str) -> Iterator[Component]:
    for place, package in json.loads(text)["packages"].items():
        if not place or package.get("dev"):
            continue
        name = package.get("name") or place.rpartition("node_modules/")[2]
        algorithm, _, digest = package["integrity"].partition("-")
        content = base64.b64decode(digest).hex()
        hashes = [HashType(alg=HashAlgorithm(algorithm.upper().replace("SHA", "SHA-")), content=content)]
        scope, _, own = name.rpartition("/")
        purl = PackageURL("npm", scope or None, own, package["version"])
        yield _component(purl, hashes)


def _read_images(text: str) -> Iterator[Component]:
    for name, tag, digest in set(_IMAGE.findall(text)):
        purl = PackageURL("docker", None, name, digest or tag, {"tag": tag} if digest else None)
        yield Component(name=name, version=tag, type=ComponentType.CONTAINER, purl=purl, bom_ref=purl.to_string())


def _component(purl: PackageURL, hashes: list[HashType]) -> Component:
    """A library. Its hashes are those of the files that may be installed, of which each machine takes one."""
    source = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(purl.to_string()), hashes=hashes)
    return Component(
        name=purl.name,
        group=purl.namespace,
        version=purl.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=purl.to_string(),
        external_references=[source],
    )


def read_files(root: Path = ROOT) -> dict[str, str]:
    return {path: (root / path).read_text() for path in (*PYTHON_PINS, NPM_LOCK, *IMAGES)}


if __name__ == "__main__":
    try:
        made = make_sbom(read_files())
    except NothingListedError as error:
        sys.exit(f"sbom: {error}")
    SBOM.parent.mkdir(exist_ok=True)
    SBOM.write_text(write_json(made))
    print(f"sbom: {len(made.components)} components in {SBOM.relative_to(ROOT)}")
