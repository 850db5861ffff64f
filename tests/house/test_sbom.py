"""The bill of materials lists every pinned package of the product, with the hashes of its files."""

import json
import re

import pytest
from cyclonedx.model.bom import Bom

from tests.house.sbom import IMAGES, NPM_LOCK, PYTHON_PINS, NothingListedError, make_sbom, read_files, write_json


@pytest.fixture(scope="module")
def written() -> dict[str, dict[str, object]]:
    """Its components by purl."""
    bom = json.loads(write_json(make_sbom(read_files())))
    assert Bom.from_json(bom) is not None  # type: ignore[attr-defined]
    return {component["purl"]: component for component in bom["components"]}


def hashes_of(component: dict[str, object]) -> set[str]:
    return {each["content"] for each in component["externalReferences"][0]["hashes"]}  # type: ignore[index]


def test_every_pinned_package_is_listed_with_its_hashes(written: dict[str, dict[str, object]]) -> None:
    files = read_files()
    pins = "".join(files[path] for path in PYTHON_PINS)
    names = re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==(\S+)", pins, re.MULTILINE)
    assert {f"pkg:pypi/{re.sub('[-_.]+', '-', name)}@{version}" for name, version in names} <= written.keys()
    hashes = set().union(*(hashes_of(component) for purl, component in written.items() if purl.startswith("pkg:pypi/")))
    assert hashes == set(re.findall(r"sha256:([0-9a-f]+)", pins))
    wanted = {place for place, package in json.loads(files[NPM_LOCK])["packages"].items() if not package.get("dev")}
    listed = [purl for purl in written if purl.startswith("pkg:npm/")]
    assert len(listed) == len(wanted - {""})
    assert all(len(digest) == 128 for purl in listed for digest in hashes_of(written[purl]))


def test_the_images_are_listed(written: dict[str, dict[str, object]]) -> None:
    names = {purl.partition("@")[0] for purl in written if purl.startswith("pkg:docker/")}
    assert names == {"pkg:docker/redis", "pkg:docker/python", "pkg:docker/caddy"}


@pytest.mark.parametrize("path", [*PYTHON_PINS, NPM_LOCK, *IMAGES])
def test_a_file_without_a_package_is_an_error(path: str) -> None:
    files = read_files()
    files[path] = '{"packages": {"": {}}}' if path == NPM_LOCK else "# nothing\n"
    with pytest.raises(NothingListedError, match=re.escape(path)):
        make_sbom(files)
