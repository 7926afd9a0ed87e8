"""Custom SearchParameters: in force once written, in every worker, and after a restart.

Spec: https://hl7.org/fhir/R4/searchparameter.html
"""

from dataclasses import replace

import pytest

from fhir_server.definitions import load
from fhir_server.interactions.tenants import CHECK_EVERY, Tenant, Tenants
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.typed_choices import with_types
from tests.builders import bundle, entry, patient, resource, search_parameter
from tests.conformance.http.fhir import Fhir

LANGUAGE = search_parameter("tongue", "Patient", "token", "Patient.language")


def worker(fhir: Fhir) -> Fhir:
    """Return another process's view of the same store."""
    stores = fhir.server.tenants._stores
    return Fhir(replace(fhir.server, tenants=Tenants(stores, fhir.server.settings, fhir.clock)), fhir.clock)


async def test_a_custom_parameter_finds_what_is_written_after_it(fhir: Fhir) -> None:
    assert (await fhir.get("Patient?tongue=de")).status == 400
    assert (await fhir.post("SearchParameter", LANGUAGE)).status == 201
    await fhir.put_all(patient("a", language="de"), patient("b", language="en"))
    assert (await fhir.get("Patient?tongue=de")).ids == ["a"]


ASSERTED = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"


async def test_guides_may_name_choices_as_json_does(fhir: Fhir) -> None:
    expression = f"Condition.extension.where(url = '{ASSERTED}').valueDateTime"
    assert (
        await fhir.post("SearchParameter", search_parameter("asserted", "Condition", "date", expression))
    ).status == 201
    said = [{"url": ASSERTED, "valueDateTime": "2020-05-05"}]
    await fhir.put_all(resource("Condition", "c", subject={"reference": "Patient/a"}, extension=said))
    assert (await fhir.get("Condition?asserted=2020-05")).ids == ["c"]
    assert (await fhir.get("Condition?asserted=gt2020-06")).ids == []


@pytest.mark.parametrize(
    ("base", "written", "read"),
    [
        ("Observation", "Observation.effectiveDateTime", "Observation.effective.ofType(dateTime)"),
        ("Observation", "Observation.component.valueQuantity", "Observation.component.value.ofType(Quantity)"),
        ("Patient", "Patient.name.where(text = 'a.valueCode').given", "Patient.name.where(text = 'a.valueCode').given"),
        ("Device", "Device.property.valueQuantity", "Device.property.valueQuantity"),
        ("ValueSet", "ValueSet.compose.include.valueSet", "ValueSet.compose.include.valueSet"),
    ],
)
def test_names_of_choices_are_read_as_fhirpath_has_them(base: str, written: str, read: str) -> None:
    assert with_types(written, [base], load()) == read


async def test_a_custom_parameter_may_come_in_a_transaction(fhir: Fhir) -> None:
    await fhir.post("", bundle("transaction", entry("POST", "SearchParameter", LANGUAGE)))
    assert (await fhir.get("Patient?tongue=de")).status == 200


async def test_a_parameter_that_is_retired_or_deleted_is_unknown_again(fhir: Fhir) -> None:
    created = await fhir.post("SearchParameter", LANGUAGE)
    await fhir.put(f"SearchParameter/{created.id}", LANGUAGE | {"id": created.id, "status": "retired"})
    assert (await fhir.get("Patient?tongue=de")).status == 400
    await fhir.put(f"SearchParameter/{created.id}", LANGUAGE | {"id": created.id})
    assert (await fhir.get("Patient?tongue=de")).status == 200
    await fhir.delete(f"SearchParameter/{created.id}")
    assert (await fhir.get("Patient?tongue=de")).status == 400


async def test_a_draft_is_not_in_force(fhir: Fhir) -> None:
    await fhir.post("SearchParameter", LANGUAGE | {"status": "draft"})
    assert (await fhir.get("Patient?tongue=de")).status == 400


async def test_an_active_parameter_that_could_never_answer_is_refused(fhir: Fhir) -> None:
    broken = search_parameter("x", "Patient", "token", "Patient.where(")
    answer = await fhir.post("SearchParameter", broken)
    assert (answer.status, answer.expressions) == (422, ["SearchParameter.expression"])
    assert (await fhir.post("SearchParameter", broken | {"status": "draft"})).status == 201
    nothing = search_parameter("x", "Patient", "token", "x")
    del nothing["expression"]
    assert (await fhir.post("SearchParameter", nothing)).status == 422


async def test_other_workers_notice_within_a_second(fhir: Fhir) -> None:
    other = worker(fhir)
    assert (await other.get("Patient?tongue=de")).status == 400
    await fhir.post("SearchParameter", LANGUAGE)
    fhir.clock.now += CHECK_EVERY
    assert (await other.get("Patient?tongue=de")).status == 200


async def test_a_worker_that_starts_later_knows_them(fhir: Fhir) -> None:
    await fhir.post("SearchParameter", LANGUAGE)
    assert (await worker(fhir).get("Patient?tongue=de")).status == 200


async def test_whoever_has_to_reindex_is_told_what_changed(fhir: Fhir) -> None:
    told = []

    def changed(tenant: Tenant, before: ParameterRegistry, after: ParameterRegistry) -> None:
        told.append((tenant.name, before.get("Patient", "tongue"), after.get("Patient", "tongue")))

    stores = fhir.server.tenants._stores
    fhir.server = replace(fhir.server, tenants=Tenants(stores, fhir.server.settings, fhir.clock, changed))
    await fhir.put_all(patient("a"))
    assert told == []
    await fhir.post("SearchParameter", LANGUAGE)
    ((tenant, before, after),) = told
    assert (tenant, before) == ("default", None)
    assert after is not None


async def test_many_custom_parameters_are_all_loaded(fhir: Fhir) -> None:
    entries = [
        entry("POST", "SearchParameter", search_parameter(f"p{number}", "Patient", "token", "Patient.language"))
        for number in range(1_100)
    ]
    assert (await fhir.post("", bundle("transaction", *entries))).status == 200
    assert (await fhir.get("Patient?p0=de&p1099=de")).status == 200
