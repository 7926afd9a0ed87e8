"""`$install-package`, `$uninstall-package`, `$list-packages`, and what the CapabilityStatement says of packages."""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.context import Caller
from fhir_server.dispatch import entrance
from tests.conformance.http.operated import operated, parameters, parts_of
from tests.conformance.http.over_http import issue
from tests.unit.packages.builders import manifest, package, profile, tgz, value_set

GZIP = {"content-type": "application/gzip"}
NEEDS = {"hl7.fhir.r4.core": "4.0.1", "other": "2.0.0"}
GUIDE = {"resourceType": "ImplementationGuide", "id": "g", "url": "http://example.org/ig", "version": "1.0.0"}
A = package("a", "1.0.0", profile("p"), value_set("v", "x"), GUIDE, dependencies=NEEDS, canonical="http://example.org")
INSTALL = "$install-package"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        yield client


def said(answer: httpx.Response) -> dict[str, Any]:
    """The outputs of a call by name; those that repeat as lists, those with parts as pairs."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = {}
    for each in answer.json().get("parameter", []):
        value = parts_of(each) if "part" in each else next(v for k, v in each.items() if k != "name")
        found.setdefault(each["name"], []).append(value)
    return found


async def listed(http: httpx.AsyncClient) -> list[str]:
    return [f"{each['name']}#{each['version']}" for each in said(await http.get("$list-packages")).get("package", [])]


async def test_an_archive_may_be_posted_as_it_is(http: httpx.AsyncClient) -> None:
    answer = said(await http.post(INSTALL, content=A, headers=GZIP))
    assert answer == {
        "outcome": ["installed"],
        "name": ["a"],
        "version": ["1.0.0"],
        "canonical": ["http://example.org"],
        "resources": [{"type": "StructureDefinition", "count": 1}, {"type": "ValueSet", "count": 1}],
        "missing": ["other#2.0.0"],
    }
    assert await listed(http) == ["a#1.0.0"]


@pytest.mark.parametrize("type_", ["application/x-gzip", "application/tar+gzip", "application/octet-stream"])
async def test_other_names_of_its_media_type_are_taken(http: httpx.AsyncClient, type_: str) -> None:
    assert (await http.post(INSTALL, content=A, headers={"content-type": type_})).status_code == 200


async def test_an_archive_may_come_in_a_binary_or_in_parameters(http: httpx.AsyncClient) -> None:
    data = b64encode(A).decode()
    binary = {"resourceType": "Binary", "contentType": "application/gzip", "data": data}
    assert said(await http.post(INSTALL, json=binary))["outcome"] == ["installed"]
    assert said(await http.post(INSTALL, json=parameters(package__=binary)))["outcome"] == ["unchanged"]
    assert said(await http.post(INSTALL, json=parameters(content__base64Binary=data)))["outcome"] == ["unchanged"]


async def test_another_archive_of_the_same_version_needs_replace(http: httpx.AsyncClient) -> None:
    await http.post(INSTALL, content=A, headers=GZIP)
    other = package("a", "1.0.0", profile("q"))
    refused = await http.post(INSTALL, content=other, headers=GZIP)
    assert (refused.status_code, issue(refused)["code"]) == (409, "conflict")
    assert "a#1.0.0" in refused.text
    replaced = await http.post(f"{INSTALL}?replace=true", content=other, headers=GZIP)
    assert said(replaced)["outcome"] == ["replaced"]
    again = parameters(replace__boolean=True, content__base64Binary=b64encode(A).decode())
    assert said(await http.post(INSTALL, json=again))["outcome"] == ["replaced"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"junk", "not whole gzip data"),
        (tgz({"package/package.json": manifest(), "package/x.json": b"{oops"}), "package/x.json: not valid JSON"),
        (tgz({"package/../../x.json": b""}), "leads out of the package"),
        (package("a", "1", fhirVersions=["5.0.0"]), "is for FHIR 5.0.0; this server is FHIR 4.0.1"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_its_place(
    http: httpx.AsyncClient, content: bytes, says: str
) -> None:
    refused = await http.post(INSTALL, content=content, headers=GZIP)
    assert refused.status_code == 422
    assert says in issue(refused)["diagnostics"]
    assert await listed(http) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (parameters(), 400),
        (parameters(content__base64Binary="%%%"), 400),
        ({"resourceType": "Binary", "contentType": "application/gzip"}, 422),
        (parameters(content__base64Binary="AAAA", package__={"resourceType": "Binary", "data": "AAAA"}), 400),
        ({"resourceType": "Patient"}, 400),
    ],
)
async def test_a_call_without_one_archive_is_refused(http: httpx.AsyncClient, body: Any, status: int) -> None:
    assert (await http.post(INSTALL, json=body)).status_code == status


async def test_a_package_over_the_limits_is_refused(tmp_path: Path) -> None:
    async with operated(tmp_path, max_package_file=300) as http:
        refused = await http.post(INSTALL, content=A, headers=GZIP)
        assert refused.status_code == 422
        assert "a file may have 300" in refused.text


async def test_a_get_is_refused_and_an_empty_body_too(http: httpx.AsyncClient) -> None:
    assert (await http.get(INSTALL)).status_code == 405
    assert (await http.post(INSTALL)).status_code == 400
    assert (await http.get("$uninstall-package?name=a&version=1.0.0")).status_code == 405


async def test_a_removed_package_is_gone_and_its_dependants_are_named(http: httpx.AsyncClient) -> None:
    await http.post(INSTALL, content=package("other", "2.0.0"), headers=GZIP)
    assert "missing" not in said(await http.post(INSTALL, content=A, headers=GZIP))
    removed = await http.post("$uninstall-package", json=parameters(name__string="other", version__string="2.0.0"))
    assert said(removed) == {"neededBy": ["a#1.0.0"]}
    assert await listed(http) == ["a#1.0.0"]
    again = await http.post("$uninstall-package", json=parameters(name__string="other", version__string="2.0.0"))
    assert again.status_code == 404


async def test_packages_are_listed_with_what_they_miss(http: httpx.AsyncClient) -> None:
    await http.post(INSTALL, content=A, headers=GZIP)
    (only,) = said(await http.get("$list-packages"))["package"]
    assert (only["count"], only["removable"], only["missing"]) == (2, True, "other#2.0.0")


async def test_only_administrators_may(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    everybody = entrance.authorize

    def as_nobody(*of: Any) -> Any:
        _, restriction = everybody(*of)
        return Caller("nobody"), replace(restriction)

    monkeypatch.setattr(entrance, "authorize", as_nobody)
    assert (await http.post(INSTALL, content=A, headers=GZIP)).status_code == 403
    body = parameters(name__string="a", version__string="1.0.0")
    assert (await http.post("$uninstall-package", json=body)).status_code == 403


async def supported(http: httpx.AsyncClient, type_: str = "Patient") -> list[str]:
    rest = (await http.get("metadata")).json()["rest"][0]
    found: list[str] = next(each for each in rest["resource"] if each["type"] == type_).get("supportedProfile", [])
    return [url.rpartition("/")[2] for url in found]


async def test_capabilities_name_guides_and_profiles_in_force(http: httpx.AsyncClient) -> None:
    assert "implementationGuide" not in (await http.get("metadata")).json()
    assert await supported(http) == []
    await http.post(INSTALL, content=A, headers=GZIP)
    assert (await http.get("metadata")).json()["implementationGuide"] == ["http://example.org/ig|1.0.0"]
    assert await supported(http) == ["p"]
    await http.put("StructureDefinition/mine", json=profile("mine"))
    assert await supported(http) == ["mine", "p"]
    await http.put("StructureDefinition/p", json=profile("p", version="2.0.0"))
    assert await supported(http) == ["mine", "p", "p|1.0.0", "p|2.0.0"]
    await http.put("StructureDefinition/mine", json=profile("mine", status="retired"))
    await http.put("StructureDefinition/ext", json=profile("ext", "Extension", kind="complex-type"))
    assert await supported(http) == ["p", "p|1.0.0", "p|2.0.0"]
    await http.post("$uninstall-package", json=parameters(name__string="a", version__string="1.0.0"))
    assert await supported(http) == ["p"]


async def test_packages_of_a_folder_are_in_force_for_all_and_cannot_be_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "a.tgz").write_bytes(A)
    (folder / "broken.tgz").write_bytes(tgz({"package/package.json": b"{"}))
    (folder / "readme.txt").write_text("no package")
    async with operated(tmp_path / "data", package_dir=folder) as http:
        assert "broken.tgz" in caplog.text and "package/package.json" in caplog.text
        assert await listed(http) == ["a#1.0.0"]
        assert await supported(http) == ["p"]
        refused = await http.post("$uninstall-package", json=parameters(name__string="a", version__string="1.0.0"))
        assert refused.status_code == 404
        assert "folder" in issue(refused)["diagnostics"]
        assert said(await http.post(INSTALL, content=package("a", "1.0.0"), headers=GZIP))["outcome"] == ["installed"]
        assert await listed(http) == ["a#1.0.0"]


async def test_a_missing_folder_of_packages_does_not_stop_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with operated(tmp_path, package_dir=tmp_path / "nowhere") as http:
        assert await listed(http) == []
    assert "nowhere" in caplog.text
