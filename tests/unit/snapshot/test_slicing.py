"""Slices in differentials. Spec: https://hl7.org/fhir/R4/profiling.html#slicing"""

import pytest

from fhir_server.snapshot import SnapshotError, snapshot
from tests.unit.snapshot.profiles import OWN, Json, by_id, by_ids, library, profile, said

BY_CODE = {"discriminator": [{"type": "pattern", "path": "code"}], "rules": "open"}
BY_TYPE = {"discriminator": [{"type": "type", "path": "$this"}], "ordered": False, "rules": "open"}
BY_URL = {"discriminator": [{"type": "value", "path": "url"}], "ordered": False, "rules": "open"}


def made(*elements: Json, type_: str = "Observation", others: tuple[Json, ...] = (), **more: str) -> dict[str, Json]:
    return by_ids(snapshot(profile(type_, *elements, **more), library(*others)))


def siblings(found: dict[str, Json], id_: str) -> list[str]:
    return [each for each in found if each.rpartition(".")[2].partition(":")[0] == id_]


def test_a_slice_starts_from_the_base_and_is_optional() -> None:
    found = made(
        by_id("Observation.category", slicing=BY_CODE, min=1),
        by_id("Observation.category:lab", max="1"),
    )
    lab = found["Observation.category:lab"]
    assert (lab["min"], lab["max"], lab["sliceName"], lab["path"]) == (0, "1", "lab", "Observation.category")
    assert "slicing" not in lab
    assert found["Observation.category"]["min"] == 1


def test_slices_stand_behind_what_they_slice_in_the_order_of_the_differential() -> None:
    found = made(
        by_id("Observation.component", slicing=BY_CODE),
        by_id("Observation.component:b"),
        by_id("Observation.component:a"),
        by_id("Observation.component:b.code", patternCodeableConcept={"text": "b"}),
    )
    assert siblings(found, "component") == [f"Observation.component{each}" for each in ("", ":b", ":a")]
    ids = list(found)
    assert ids.index("Observation.component.referenceRange") < ids.index("Observation.component:b")
    assert found["Observation.component:b.code"]["patternCodeableConcept"] == {"text": "b"}
    assert "patternCodeableConcept" not in found["Observation.component:a.code"]


def test_without_ids_elements_belong_to_the_slice_before_them() -> None:
    found = made(
        said("Observation.component", slicing=BY_CODE),
        said("Observation.component", "a", min=1),
        said("Observation.component.code", patternCodeableConcept={"text": "a"}),
        said("Observation.component", "b"),
        said("Observation.component.code", patternCodeableConcept={"text": "b"}),
        said("Observation.component.code.text", max="1"),
        said("Observation.status", short="s"),
    )
    for name in ("a", "b"):
        assert found[f"Observation.component:{name}.code"]["patternCodeableConcept"] == {"text": name}
    assert "Observation.component:b.code.text" in found
    assert "Observation.component:a.code.text" not in found
    assert found["Observation.status"]["short"] == "s"


def test_a_slice_of_the_base_is_narrowed_where_it_is() -> None:
    lower = profile(
        "Observation",
        by_id("Observation.component", slicing=BY_CODE),
        by_id("Observation.component:a", min=1),
        by_id("Observation.component:b"),
        name="lower",
    )
    found = made(
        by_id("Observation.component:a", max="1"),
        by_id("Observation.component:c"),
        others=(lower,),
        base=OWN + "lower",
    )
    assert siblings(found, "component") == [f"Observation.component{each}" for each in ("", ":a", ":b", ":c")]
    assert (found["Observation.component:a"]["min"], found["Observation.component:a"]["max"]) == (1, "1")


def test_a_slice_is_sliced_again() -> None:
    found = made(
        by_id("Observation.category", slicing=BY_CODE),
        by_id("Observation.category:lab", max="2", slicing=BY_CODE),
        by_id("Observation.category:lab/blood", min=1),
        by_id("Observation.category:other"),
    )
    again = found["Observation.category:lab/blood"]
    assert (again["min"], again["max"], again["sliceName"]) == (1, "2", "lab/blood")
    assert siblings(found, "category") == [
        f"Observation.category{each}" for each in ("", ":lab", ":lab/blood", ":other")
    ]


def test_a_type_of_a_choice_is_a_slice() -> None:
    found = made(by_id("Observation.value[x]:valueQuantity"), by_id("Observation.value[x]:valueQuantity.code", min=1))
    assert found["Observation.value[x]"]["slicing"] == BY_TYPE
    assert found["Observation.value[x]:valueQuantity"]["type"] == [{"code": "Quantity"}]
    assert found["Observation.value[x]:valueQuantity.code"]["path"] == "Observation.value[x].code"
    assert len(found["Observation.value[x]"]["type"]) == 11


@pytest.mark.parametrize("id_", ["Observation.valueQuantity", "Observation.value[x]:valueQuantity", ""])
def test_the_short_form_of_a_choice_is_a_slice_of_it(id_: str) -> None:
    ids = ({"id": id_}, {"id": f"{id_}.code"}) if id_ else ({}, {})
    found = made(
        ids[0] | {"path": "Observation.valueQuantity", "short": "How much"},
        ids[1] | {"path": "Observation.valueQuantity.code", "min": 1},
    )
    quantity = found["Observation.value[x]:valueQuantity"]
    assert (quantity["short"], quantity["sliceName"]) == ("How much", "valueQuantity")
    assert found["Observation.value[x]:valueQuantity.code"]["min"] == 1
    assert found["Observation.value[x]"]["slicing"] == BY_TYPE


def test_a_short_form_that_must_be_there_leaves_no_other_type() -> None:
    found = made(said("Observation.valueQuantity", min=1))
    assert found["Observation.value[x]"]["min"] == 1
    assert found["Observation.value[x]"]["type"] == [{"code": "Quantity"}]
    assert found["Observation.value[x]"]["slicing"]["rules"] == "closed"


def test_a_short_form_of_the_only_type_left_is_the_element_itself() -> None:
    lower = profile("Observation", said("Observation.value[x]", type=[{"code": "Quantity"}]), name="lower")
    found = made(said("Observation.valueQuantity.code", min=1), others=(lower,), base=OWN + "lower")
    assert found["Observation.value[x].code"]["min"] == 1
    assert "Observation.value[x]:valueQuantity" not in found


def test_a_choice_of_which_every_type_is_a_slice_is_closed() -> None:
    found = made(
        by_id("Patient.deceased[x]:deceasedBoolean", short="b"),
        by_id("Patient.deceased[x]:deceasedDateTime", short="d"),
        type_="Patient",
    )
    assert found["Patient.deceased[x]"]["slicing"]["rules"] == "closed"


def test_extensions_are_sliced_by_url_without_a_word() -> None:
    extension = profile(
        "Extension",
        by_id("Extension.url", fixedUri=OWN + "eyes"),
        by_id("Extension", max="1", short="Eyes"),
        name="eyes",
        kind="complex-type",
    )
    found = made(
        by_id("Patient.extension:eyes", type=[{"code": "Extension", "profile": [OWN + "eyes"]}]),
        by_id("Patient.extension:eyes.value[x]", type=[{"code": "string"}]),
        type_="Patient",
        others=(extension,),
    )
    assert found["Patient.extension"]["slicing"] == BY_URL
    eyes = found["Patient.extension:eyes"]
    assert (eyes["short"], eyes["max"]) == ("Eyes", "1"), "as the extension says of itself"
    assert found["Patient.extension:eyes.url"]["fixedUri"] == OWN + "eyes"
    assert found["Patient.extension:eyes.value[x]"]["type"] == [{"code": "string"}]


def test_a_named_element_that_nobody_slices_is_the_element_itself() -> None:
    found = made(said("Observation.issued", "IssueDate", min=1))
    assert siblings(found, "issued") == ["Observation.issued"]
    assert found["Observation.issued"]["min"] == 1
    assert "sliceName" not in found["Observation.issued"]


def test_two_slices_that_nothing_tells_apart_are_refused() -> None:
    with pytest.raises(SnapshotError, match=r"Observation\.category .*a, b"):
        made(said("Observation.category", "a"), said("Observation.category", "b"))


def test_slicing_is_merged_with_that_of_the_base() -> None:
    lower = profile("Observation", by_id("Observation.category", slicing=BY_CODE | {"description": "x"}), name="lower")
    found = made(by_id("Observation.category", slicing={"rules": "closed"}), others=(lower,), base=OWN + "lower")
    assert found["Observation.category"]["slicing"] == BY_CODE | {"description": "x", "rules": "closed"}
