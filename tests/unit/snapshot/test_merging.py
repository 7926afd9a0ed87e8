"""What a differential says, merged with its base. Spec: https://hl7.org/fhir/R4/profiling.html"""

import pytest

from fhir_server.model.json import encode
from fhir_server.packages import Library, core_library, entry_of
from fhir_server.snapshot import snapshot, structure
from tests.unit.snapshot.profiles import OWN, R4, Json, by_id, by_ids, library, profile, said


def made(*elements: Json, type_: str = "Patient") -> dict[str, Json]:
    return by_ids(snapshot(profile(type_, *elements), library()))


def test_without_a_word_the_base_comes_out() -> None:
    base = structure(library(), R4 + "Patient")
    assert base is not None
    assert list(made()) == [element["id"] for element in base["snapshot"]["element"]]


def test_cardinality_is_narrowed_and_the_base_remembered() -> None:
    name = made(said("Patient.name", min=1, max="2"))["Patient.name"]
    assert (name["min"], name["max"]) == (1, "2")
    assert name["base"] == {"path": "Patient.name", "min": 0, "max": "*"}


def test_texts_replace_and_three_dots_append() -> None:
    found = made(said("Patient.name", short="Names", definition="...And more."))["Patient.name"]
    assert found["short"] == "Names"
    assert found["definition"] == "A name associated with the individual.\nAnd more."


def test_rules_are_added_with_their_source() -> None:
    rule = {"key": "x-1", "severity": "error", "human": "a family", "expression": "name.family.exists()"}
    root = made(said("Patient", constraint=[rule]))["Patient"]
    keys = {each["key"]: each["source"] for each in root["constraint"]}
    assert keys["x-1"] == OWN + "it"
    assert keys["dom-2"] == R4 + "DomainResource"


def test_a_rule_of_the_base_cannot_be_rewritten() -> None:
    rule = {"key": "dom-2", "severity": "warning", "human": "whatever", "expression": "true"}
    root = made(said("Patient", constraint=[rule]))["Patient"]
    assert [each["expression"] for each in root["constraint"] if each["key"] == "dom-2"] == [
        "contained.contained.empty()"
    ]


def test_bindings_and_types_are_replaced() -> None:
    found = made(
        said("Patient.maritalStatus", binding={"strength": "required", "valueSet": "http://example.org/vs"}),
        said("Patient.generalPractitioner", type=[{"code": "Reference", "targetProfile": [R4 + "Organization"]}]),
    )
    assert found["Patient.maritalStatus"]["binding"] == {"strength": "required", "valueSet": "http://example.org/vs"}
    assert found["Patient.generalPractitioner"]["type"][0]["targetProfile"] == [R4 + "Organization"]


def test_the_widest_value_set_of_the_base_goes_on_to_count() -> None:
    binding = {"strength": "required", "valueSet": "http://example.org/vs"}
    found = made(said("Patient.language", binding=binding))["Patient.language"]["binding"]
    assert [each["valueCanonical"] for each in found["extension"]] == ["http://hl7.org/fhir/ValueSet/all-languages"]
    assert found["valueSet"] == "http://example.org/vs"


def test_a_fixed_value_of_another_type_takes_the_place_of_the_old_one() -> None:
    lower = profile("Observation", said("Observation.value[x]", patternCodeableConcept={"text": "a"}), name="lower")
    upper = profile(
        "Observation", said("Observation.value[x]", patternQuantity={"code": "kg"}), base=OWN + "lower", name="upper"
    )
    found = by_ids(snapshot(upper, library(lower)))["Observation.value[x]"]
    assert found["patternQuantity"] == {"code": "kg"}
    assert "patternCodeableConcept" not in found


def test_must_support_stays_true() -> None:
    lower = profile("Patient", said("Patient.name", mustSupport=True), name="lower")
    upper = profile("Patient", said("Patient.name", mustSupport=False), base=OWN + "lower", name="upper")
    assert by_ids(snapshot(upper, library(lower)))["Patient.name"]["mustSupport"] is True


def test_several_levels_are_merged() -> None:
    one = profile("Patient", said("Patient.name", min=1), name="one")
    two = profile("Patient", said("Patient.name", max="3"), base=OWN + "one", name="two")
    three = profile("Patient", said("Patient.birthDate", min=1), base=OWN + "two", name="three")
    found = by_ids(snapshot(three, library(one, two)))
    assert (found["Patient.name"]["min"], found["Patient.name"]["max"], found["Patient.birthDate"]["min"]) == (
        1,
        "3",
        1,
    )


def test_the_order_of_a_differential_does_not_matter() -> None:
    there = [said("Patient.birthDate", min=1), said("Patient.name.family", min=1), said("Patient.name", min=1)]
    assert made(*there) == made(*reversed(there))


def test_elements_said_twice_count_together() -> None:
    found = made(said("Patient.name", min=1), said("Patient.name", max="1"))["Patient.name"]
    assert (found["min"], found["max"]) == (1, "1")


def test_the_base_is_not_changed() -> None:
    here = library()
    before = structure(here, R4 + "Patient")
    text = repr(before)
    snapshot(profile("Patient", said("Patient.name", min=1), said("Patient.name.family", min=1)), here)
    assert repr(structure(here, R4 + "Patient")) == text


def test_every_element_but_ids_and_resources_has_ele_1() -> None:
    for id_, element in made(said("Patient.name.family", min=1)).items():
        has = any(rule["key"] == "ele-1" for rule in element.get("constraint", ()))
        last = id_.rpartition(".")[2]
        assert has == (last not in ("Patient", "id", "contained")), id_


@pytest.mark.parametrize("missing", ["definition", "base", "min", "max", "id", "path"])
def test_every_element_says_what_a_snapshot_needs(missing: str) -> None:
    assert all(missing in element for element in made(by_id("Patient.name.family", min=1)).values())


def test_a_base_is_taken_from_the_same_package() -> None:
    """Two versions of a package may be in force side by side."""
    entries = []
    for version, low in (("1.0.0", 1), ("2.0.0", 0)):
        lower = profile("Patient", said("Patient.name", min=low), name="lower", version=version)
        upper = profile("Patient", base=OWN + "lower", name="upper", version=version)
        source = f"guide#{version}"
        entries += [
            entry_of(f"{source}/{each['id']}", "StructureDefinition", encode(each), source) for each in (lower, upper)
        ]
    here = Library(entries, core_library())
    for version, low in (("1.0.0", 1), ("2.0.0", 0)):
        found = structure(here, f"{OWN}upper|{version}")
        assert found is not None
        assert by_ids(found["snapshot"]["element"])["Patient.name"]["min"] == low
