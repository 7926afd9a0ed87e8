"""`_summary` and `_elements`."""

import pytest

from fhir_server.definitions import load
from fhir_server.errors import BadValue
from fhir_server.interactions.subset import Subset, asked, cut_resource, named, summary_shape
from fhir_server.model.json import decode, encode
from tests.builders import observation, patient, resource


def cut(value: dict[str, object], wanted: Subset) -> dict[str, object]:
    found = decode(cut_resource(load(), str(value["resourceType"]), encode(value), wanted))
    assert found["meta"].pop("tag")[-1]["code"] == "SUBSETTED"
    if not found["meta"]:
        found.pop("meta")
    return found


def test_nothing_asked_is_no_subset() -> None:
    assert asked(()) is None
    assert asked((("_summary", "false"),)) is None
    assert asked((("_elements", ""),)) is None


def test_the_summary_goes_before_elements() -> None:
    assert asked((("_elements", "a"), ("_summary", "text"))) == Subset("text")
    assert asked((("_elements", "a"), ("_summary", "false"))) == Subset("elements", frozenset("a"))


def test_an_unknown_summary_is_refused() -> None:
    with pytest.raises(BadValue):
        asked((("_summary", "yes"),))


def test_elements_may_repeat_and_have_spaces() -> None:
    assert named(["a, b", "c,"]) == {"a", "b", "c"}


def test_every_type_has_a_summary_that_keeps_what_is_mandatory() -> None:
    for type_ in load().resource_types:
        shape = summary_shape(load(), type_)
        assert {e.name for e in load().types[type_].elements if e.min and not e.choice} <= shape.keys()


def test_choices_are_named_with_and_without_their_type() -> None:
    value = observation("o", valueString="x", effectiveDateTime="2020")
    for name in ("value", "value[x]", "valueString", "Observation.value"):
        assert "valueString" in cut(value, Subset("elements", frozenset([name])))
    assert "effectiveDateTime" not in cut(value, Subset("elements", frozenset(["value"])))


def test_data_types_are_cut_inside_a_summary() -> None:
    photo = [{"contentType": "image/png", "data": "eA==", "url": "http://x"}]
    value = resource("Practitioner", "p", photo=photo, name=[{"family": "x"}])
    found = cut(value, Subset("true"))
    assert found["name"] == [{"family": "x"}]


def test_resources_within_a_bundle_are_cut_by_their_own_type() -> None:
    inner = patient("a", active=True, maritalStatus={"text": "m"})
    found = cut(resource("Bundle", "b", type="collection", entry=[{"resource": inner}]), Subset("true"))
    assert found["entry"] == [{"resource": {"resourceType": "Patient", "id": "a", "active": True}}]


@pytest.mark.parametrize("wanted", [Subset("true"), Subset("elements", frozenset({"subject"}))])
def test_contained_resources_stay_where_what_is_kept_refers_to_them(wanted: Subset) -> None:
    doctor = {"resourceType": "Practitioner", "id": "d"}
    contained = [patient("p", generalPractitioner=[{"reference": "#d"}]), doctor, patient("other")]
    found = cut(observation("o", subject="#p", contained=contained, note=[{"text": "long"}]), wanted)
    assert [each["id"] for each in found["contained"]] == ["p", "d"]


def test_contained_resources_are_left_out_of_a_summary_and_kept_in_data() -> None:
    value = observation("o", contained=[patient("p")])
    assert "contained" not in cut(value, Subset("true"))
    assert "contained" in cut(value, Subset("data"))
