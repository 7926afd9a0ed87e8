"""Capabilities: complete and true. Spec: https://hl7.org/fhir/R4/http.html#capabilities"""

from typing import Any

import pytest

from fhir_server.definitions import load
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.validation import structure_validator
from tests.builders import search_parameter
from tests.conformance.http.fhir import BASE, Fhir, Serve


async def _statement(fhir: Fhir, query: str = "") -> Any:
    answer = await fhir.get(f"metadata{query}")
    assert answer.status == 200
    return answer.json


async def _of(fhir: Fhir, type_: str) -> Any:
    (found,) = [each for each in (await _statement(fhir))["rest"][0]["resource"] if each["type"] == type_]
    return found


async def test_the_statement_says_what_kind_of_server_this_is(fhir: Fhir) -> None:
    statement = await _statement(fhir)
    assert statement["resourceType"] == "CapabilityStatement"
    assert (statement["kind"], statement["fhirVersion"], statement["status"]) == ("instance", "4.0.1", "active")
    assert statement["implementation"]["url"] == BASE
    assert {"application/fhir+json", "application/fhir+xml"} <= set(statement["format"])
    assert {"application/json-patch+json", "application/xml-patch+xml"} <= set(statement["patchFormat"])
    assert statement["rest"][0]["mode"] == "server"
    assert "security" in statement["rest"][0]


async def test_includes_by_references_and_by_canonicals_are_offered(fhir: Fhir) -> None:
    found = await _of(fhir, "QuestionnaireResponse")
    assert {f"QuestionnaireResponse:{code}" for code in ("subject", "questionnaire")} <= set(found["searchInclude"])
    referring = (await _of(fhir, "Questionnaire"))["searchRevInclude"]
    assert {"Provenance:target", "QuestionnaireResponse:questionnaire", "Measure:depends-on"} <= set(referring)
    assert "searchInclude" not in await _of(fhir, "Bundle")
    assert "Measure:depends-on" not in (await _of(fhir, "Patient"))["searchRevInclude"]


@pytest.mark.parametrize("mode", ["", "?mode=full", "?mode=normative", "?mode=terminology"])
async def test_the_statement_is_valid(fhir: Fhir, mode: str) -> None:
    statement = await _statement(fhir, mode)
    assert structure_validator().check(statement, statement["resourceType"]) == []


async def test_every_type_with_an_endpoint_is_listed_once_with_all_interactions(fhir: Fhir) -> None:
    resources = (await _statement(fhir))["rest"][0]["resource"]
    assert [each["type"] for each in resources] == list(load().resource_types)
    codes = {"read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type"}
    assert all({each["code"] for each in found["interaction"]} == codes for found in resources)


async def test_the_system_interactions_are_listed(fhir: Fhir) -> None:
    rest = (await _statement(fhir))["rest"][0]
    assert {each["code"] for each in rest["interaction"]} == {
        "transaction", "batch", "search-system", "history-system",
    }  # fmt: skip
    assert {each["name"] for each in rest["searchParam"]} >= {"_id", "_lastUpdated", "_tag"}
    assert "http://hl7.org/fhir/CompartmentDefinition/patient" in rest["compartment"]


async def test_every_search_parameter_of_a_type_is_listed_with_its_definition(fhir: Fhir) -> None:
    found = {each["name"]: each for each in (await _of(fhir, "Observation"))["searchParam"]}
    assert found.keys() == ParameterRegistry.standard().of("Observation").keys()
    assert found["code-value-quantity"]["type"] == "composite"
    assert found["subject"]["definition"].startswith("http://hl7.org/fhir/SearchParameter/")


async def test_every_include_that_is_listed_works(fhir: Fhir) -> None:
    found = await _of(fhir, "Observation")
    for name in found["searchInclude"]:
        assert (await fhir.get(f"Observation?_include={name}")).status == 200, name
    for name in found["searchRevInclude"][:40]:
        assert (await fhir.get(f"Observation?_revinclude={name}")).status == 200, name


async def test_settings_show(serve: Serve) -> None:
    fhir = await serve(update_create=False, conditional_delete="none", integrity_on_write=True)
    found = await _of(fhir, "Patient")
    assert found["updateCreate"] is False
    assert found["conditionalDelete"] == "not-supported"
    assert "enforced" in found["referencePolicy"]


async def test_what_it_says_of_conditions_and_versions(fhir: Fhir) -> None:
    found = await _of(fhir, "Patient")
    assert found["versioning"] == "versioned-update"
    assert found["conditionalCreate"] is found["conditionalUpdate"] is found["updateCreate"] is True
    assert (found["conditionalRead"], found["conditionalDelete"]) == ("full-support", "multiple")


async def test_modes(fhir: Fhir) -> None:
    normative = await _statement(fhir, "?mode=normative")
    types = {each["type"] for each in normative["rest"][0]["resource"]}
    assert {"Patient", "Observation"} <= types
    assert "Encounter" not in types
    assert (await _statement(fhir, "?mode=terminology"))["resourceType"] == "TerminologyCapabilities"
    assert (await fhir.get("metadata?mode=none")).status == 400


async def test_the_etag_changes_only_with_the_statement(fhir: Fhir) -> None:
    first, second = await fhir.get("metadata"), await fhir.get("metadata")
    assert first.headers["ETag"] == second.headers["ETag"]
    assert (await fhir.get("metadata?mode=normative")).headers["ETag"] != first.headers["ETag"]
    await fhir.post("SearchParameter", search_parameter("shoe-size", "Patient", "number", "Patient.multipleBirth"))
    assert (await fhir.get("metadata")).headers["ETag"] != first.headers["ETag"]


async def test_custom_search_parameters_are_listed(fhir: Fhir) -> None:
    await fhir.post("SearchParameter", search_parameter("shoe-size", "Patient", "string", "Patient.language"))
    found = {each["name"]: each for each in (await _of(fhir, "Patient"))["searchParam"]}
    assert found["shoe-size"]["definition"] == "http://example.org/SearchParameter/shoe-size"


async def test_summary_and_elements_cut_the_statement(fhir: Fhir) -> None:
    summary = await _statement(fhir, "?_summary=true")
    assert summary["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert summary["fhirVersion"] == "4.0.1"
    elements = await _statement(fhir, "?_elements=software")
    assert "rest" not in elements
    assert elements["software"]["name"] == "fhir-server"


async def test_no_operation_is_listed_that_is_not_there(fhir: Fhir) -> None:
    rest = (await _statement(fhir))["rest"][0]
    assert "operation" not in rest
    assert not any("operation" in each for each in rest["resource"])
