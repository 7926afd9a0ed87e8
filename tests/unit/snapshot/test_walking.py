"""Differentials that speak of what lies within types. Spec: https://hl7.org/fhir/R4/profiling.html#snapshot"""

from fhir_server.snapshot import snapshot
from tests.unit.snapshot.profiles import OWN, R4, Json, by_id, by_ids, library, profile, said


def made(type_: str, *elements: Json, others: tuple[Json, ...] = ()) -> dict[str, Json]:
    return by_ids(snapshot(profile(type_, *elements), library(*others)))


def children(found: dict[str, Json], id_: str) -> list[str]:
    return [each.removeprefix(f"{id_}.") for each in found if each.startswith(f"{id_}.")]


def test_a_data_type_is_opened_where_it_is_spoken_of() -> None:
    found = made("Patient", said("Patient.name.family", min=1))
    assert children(found, "Patient.name") == [
        "id", "extension", "use", "text", "family", "given", "prefix", "suffix", "period",
    ]  # fmt: skip
    assert found["Patient.name.family"]["base"] == {"path": "HumanName.family", "min": 0, "max": "1"}
    assert children(found, "Patient.address") == []


def test_several_types_deep() -> None:
    found = made("Patient", said("Patient.identifier.assigner.identifier.system", min=1))
    assert found["Patient.identifier.assigner.identifier.system"]["min"] == 1
    assert "Patient.identifier.assigner.reference" in found


def test_the_profile_of_a_type_is_opened_and_not_the_type() -> None:
    quantity = profile("Quantity", said("Quantity.code", min=1), name="coded", kind="complex-type")
    found = made(
        "Observation",
        said("Observation.value[x]", type=[{"code": "Quantity", "profile": [OWN + "coded"]}]),
        said("Observation.value[x].system", min=1),
        others=(quantity,),
    )
    assert found["Observation.value[x].code"]["min"] == 1
    assert found["Observation.value[x].system"]["min"] == 1


def test_the_type_of_a_choice_is_that_which_the_differential_leaves() -> None:
    found = made(
        "Observation",
        said("Observation.value[x].code", min=1),
        said("Observation.value[x]", type=[{"code": "Quantity"}]),
    )
    assert found["Observation.value[x].code"]["path"] == "Observation.value[x].code"


def test_of_several_types_only_what_all_have_can_be_spoken_of() -> None:
    found = made("Observation", said("Observation.value[x].extension", max="0"))
    assert children(found, "Observation.value[x]") == ["id", "extension"]


def test_a_content_reference_gets_what_it_refers_to() -> None:
    found = made("Questionnaire", said("Questionnaire.item.item.linkId", short="nested"))
    assert found["Questionnaire.item.item.linkId"]["short"] == "nested"
    assert found["Questionnaire.item.linkId"]["short"] != "nested"
    assert "contentReference" not in found["Questionnaire.item.item"]
    assert found["Questionnaire.item.item"]["type"] == [{"code": "BackboneElement"}]
    assert found["Questionnaire.item.item.item"]["contentReference"] == "#Questionnaire.item"


def test_a_resource_within_a_bundle() -> None:
    found = made(
        "Bundle",
        by_id("Bundle.entry", slicing={"discriminator": [{"type": "type", "path": "resource"}], "rules": "open"}),
        by_id("Bundle.entry:patient", min=1, max="1"),
        by_id("Bundle.entry:patient.resource", min=1, type=[{"code": "Patient"}]),
        by_id("Bundle.entry:patient.resource.birthDate", min=1),
    )
    assert found["Bundle.entry:patient.resource.birthDate"]["path"] == "Bundle.entry.resource.birthDate"
    assert found["Bundle.entry:patient.resource.birthDate"]["base"]["path"] == "Patient.birthDate"


def test_primitives_have_a_value_to_speak_of() -> None:
    found = made("Patient", said("Patient.birthDate.extension", max="0"))
    assert found["Patient.birthDate.extension"]["max"] == "0"
    assert "Patient.birthDate.value" in found


def test_a_type_nobody_knows_is_left_as_it_is_where_it_is_not_spoken_of() -> None:
    unknown = [{"code": "Extension", "profile": ["http://example.org/unknown"]}]
    found = made("Patient", said("Patient.extension", "other", type=unknown))
    assert found["Patient.extension:other"]["type"] == unknown
    assert R4 + "Patient" != OWN


def test_of_an_unknown_extension_its_url_is_known() -> None:
    unknown = [{"code": "Extension", "profile": ["http://example.org/unknown|1.0"]}]
    found = made(
        "Patient",
        by_id("Patient.extension:other", type=unknown),
        by_id("Patient.extension:other.value[x]", type=[{"code": "string"}]),
    )
    assert found["Patient.extension:other.url"]["fixedUri"] == "http://example.org/unknown"
