"""What `/metadata` names can be read. Spec: https://hl7.org/fhir/R4/capabilitystatement.html"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.errors import Issue
from fhir_server.validation import structure_validator
from tests.builders import search_parameter
from tests.conformance.http.callers import Sees, all_but, having, let_in
from tests.conformance.http.fhir import Fhir
from tests.conformance.http.operated import operated

_AT_ONCE = 150
_CORE = "http://hl7.org/fhir/"
_OWN = "http://fhir-server.org/"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with operated(tmp_path) as client:
        yield client


async def _named(http: httpx.AsyncClient) -> dict[str, set[str]]:
    """All canonicals of the statement, by the type of what they name."""
    (rest,) = (await http.get("metadata")).json()["rest"]
    levels = [rest, *rest["resource"]]
    return {
        "SearchParameter": {each["definition"] for level in levels for each in level.get("searchParam", ())},
        "OperationDefinition": {each["definition"] for level in levels for each in level.get("operation", ())},
        "CompartmentDefinition": set(rest["compartment"]),
        "StructureDefinition": {
            canonical for each in rest["resource"] for canonical in (each["profile"], *each.get("supportedProfile", ()))
        },
    }


async def test_all_that_the_statement_names_is_found_by_its_url_and_is_valid(http: httpx.AsyncClient) -> None:
    for type_, canonicals in (await _named(http)).items():
        found: dict[str, Any] = {}
        left = sorted(canonicals)
        while left:
            some, left = left[:_AT_ONCE], left[_AT_ONCE:]
            bundle = (await http.get(type_, params={"url": ",".join(some)})).json()
            found |= {entry["resource"]["url"]: entry["resource"] for entry in bundle["entry"]}
        assert not canonicals ^ found.keys()
        for resource in found.values():
            assert resource["resourceType"] == type_
            assert not [each.diagnostics for each in structure_validator().check(resource, type_) if _is_wrong(each)]


def _is_wrong(found: Issue) -> bool:
    """R4's lists of resource types are required bindings, which a type of a plugin cannot keep."""
    return found.severity == "error" and not found.diagnostics.startswith("'ViewDefinition' is not in")


async def test_operations_of_the_core_and_of_plugins_are_read_by_id(http: httpx.AsyncClient) -> None:
    urls = (await _named(http))["OperationDefinition"]
    assert {f"{_CORE}OperationDefinition/Patient-everything", f"{_OWN}OperationDefinition/erase"} <= urls
    for entry in (await http.get("OperationDefinition", params={"url": ",".join(urls)})).json()["entry"]:
        read = await http.get(f"OperationDefinition/{entry['resource']['id']}")
        assert (read.status_code, read.json()) == (200, entry["resource"])


@pytest.mark.parametrize(
    "url",
    [
        "SearchParameter/individual-gender",
        "StructureDefinition/Patient",
        "StructureDefinition/bodyweight",
        "CompartmentDefinition/patient",
    ],
)
async def test_a_definition_has_a_version_like_any_resource(fhir: Fhir, url: str) -> None:
    read = await fhir.get(url)
    assert (read.status, read.json["id"]) == (200, url.partition("/")[2])
    assert (await fhir.get(url, if_none_match=f'W/"{read.version}"')).status == 304
    assert (await fhir.get(f"{url}/_history/{read.version}")).json == read.json
    assert (await fhir.get(f"{url}/_history/1")).status == 404
    assert (await fhir.get(f"{url}?_elements=url")).json.keys() >= {"url", "meta", "id"}
    assert (await fhir.get(f"{url}-none")).status == 404


async def test_definitions_are_found_by_url_or_id_and_must_match_the_rest(fhir: Fhir) -> None:
    url = f"{_CORE}SearchParameter/individual-gender"
    assert (await fhir.get(f"SearchParameter?url={url}")).ids == ["individual-gender"]
    assert (await fhir.get("SearchParameter?_id=individual-gender,Patient-name")).json["total"] == 2
    assert (await fhir.get(f"SearchParameter?url={url}&base=Patient&_summary=count")).json["total"] == 1
    assert (await fhir.get(f"SearchParameter?url={url}&base=Observation")).ids == []
    assert (await fhir.get(f"SearchParameter?url={url}x")).ids == []
    assert (await fhir.get("SearchParameter")).ids == []
    both = await fhir.get(f"?_type=SearchParameter,StructureDefinition&url={url},{_CORE}StructureDefinition/Patient")
    assert both.ids == ["individual-gender", "Patient"]


async def test_what_is_stored_stands_in_the_place_of_a_definition(fhir: Fhir) -> None:
    url = f"{_CORE}SearchParameter/individual-gender"
    said = ("Patient", "token", "Patient.gender")
    mine = search_parameter("sex-of", *said, id="individual-gender", url=url, status="draft")
    other = search_parameter("sex-of", *said, id="mine", url=f"{_CORE}SearchParameter/Patient-name", status="draft")
    await fhir.put_all(mine, other)
    assert (await fhir.get("SearchParameter/individual-gender")).json["code"] == "sex-of"
    assert (await fhir.get(f"SearchParameter?url={url}")).ids == ["individual-gender"]
    assert (await fhir.get(f"SearchParameter?url={url}&status=active")).ids == []
    assert (await fhir.get(f"SearchParameter?url={other['url']}")).ids == ["mine"]
    await fhir.delete("SearchParameter/individual-gender")
    assert (await fhir.get("SearchParameter/individual-gender")).status == 410
    assert (await fhir.get(f"SearchParameter?url={url}")).ids == ["individual-gender"]


async def test_who_may_not_see_a_type_does_not_see_its_definitions(fhir: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    let_in(monkeypatch, Sees({"SearchParameter": having("status", "draft")}, all_but(types=["StructureDefinition"])))
    assert (await fhir.get("SearchParameter/individual-gender")).status == 404
    assert (await fhir.get("SearchParameter?_id=individual-gender")).ids == []
    assert (await fhir.get("StructureDefinition/Patient")).status in (403, 404)
