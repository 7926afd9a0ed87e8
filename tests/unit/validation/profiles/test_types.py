"""Types that are left of a choice, and profiles on types."""

from typing import Any

from tests.unit.validation.profiles.builders import CORE, errors, findings, observation, patient, profile

ADDRESS = "http://example.net/address"
HOME = profile("Address", {"path": "use", "min": 1, "fixedCode": "home"}, url=ADDRESS)


def _quantity(**more: Any) -> dict[str, Any]:
    return profile("Observation", {"path": "value[x]", "type": [{"code": "Quantity"}], **more})


def test_a_choice_may_be_narrowed() -> None:
    assert errors(observation(valueString="x"), _quantity()) == ["structure Observation.value.ofType(string)"]
    assert errors(observation(valueQuantity={"value": 1}), _quantity()) == []


def test_of_several_types_the_owner_is_told() -> None:
    two = profile("Observation", {"path": "value[x]", "type": [{"code": "Quantity"}, {"code": "Range"}]})
    assert errors(observation(valueString="x"), two) == ["structure Observation"]
    assert errors(observation(valueRange={"low": {"value": 1}}), two) == []


def test_children_of_a_narrowed_choice_are_checked() -> None:
    coded = profile(
        "Observation", {"path": "value[x]", "type": [{"code": "Quantity"}]}, {"path": "value[x].code", "min": 1}
    )
    assert errors(observation(valueQuantity={"value": 1}), coded) == ["structure Observation.value.ofType(Quantity)"]


def test_entries_of_a_bundle_may_be_narrowed_to_a_type() -> None:
    patients = profile("Bundle", {"path": "entry.resource", "type": [{"code": "Patient"}]})
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": patient()}, {"resource": observation()}],
    }
    assert errors(bundle, patients) == ["structure Bundle.entry[1].resource"]


def test_a_profile_on_a_type_must_hold() -> None:
    home = profile("Patient", {"path": "address", "type": [{"code": "Address", "profile": [ADDRESS]}]})
    assert errors(patient(address=[{"city": "A"}]), home, HOME) == ["structure Patient.address[0]"]
    assert errors(patient(address=[{"use": "work"}]), home, HOME) == ["value Patient.address[0].use"]
    assert errors(patient(address=[{"use": "home"}]), home, HOME) == []


WORK = profile("Address", {"path": "use", "min": 1, "fixedCode": "work"}, url="http://example.net/work")
EITHER = profile("Patient", {"path": "address", "type": [{"code": "Address", "profile": [ADDRESS, WORK["url"]]}]})


def test_of_several_profiles_one_must_hold() -> None:
    assert errors(patient(address=[{"use": "home"}, {"use": "work"}]), EITHER, HOME, WORK) == []
    found = findings(patient(address=[{"use": "old"}]), EITHER, HOME, WORK)
    assert found[0].expression == ("Patient.address[0]",)
    assert found[0].diagnostics.startswith(
        "Unable to find a match for the profile among choices: http://example.net/address"
    )
    assert [issue.expression for issue in found[1:]] == [("Patient.address[0].use",)] * 2


def test_that_several_profiles_hold_is_a_warning() -> None:
    other = {**HOME, "url": WORK["url"]}
    (found,) = findings(patient(address=[{"use": "home"}]), EITHER, HOME, other)
    assert (found.severity, found.code) == ("warning", "structure")


def test_an_unknown_profile_is_a_warning_that_names_it() -> None:
    home = profile("Patient", {"path": "address", "type": [{"code": "Address", "profile": [ADDRESS]}]})
    (found,) = findings(patient(address=[{"city": "A"}]), home)
    assert (found.severity, found.code) == ("warning", "not-found")
    assert ADDRESS in found.diagnostics


def test_an_unknown_profile_is_an_error_for_who_takes_the_unknown_for_one() -> None:
    home = profile("Patient", {"path": "address", "type": [{"code": "Address", "profile": [ADDRESS]}]})
    assert errors(patient(address=[{"city": "A"}]), home, unknown_extensions="error") == [
        "structure Patient.address[0]"
    ]


def test_the_profile_of_another_type_does_not_hold() -> None:
    assert errors(observation(), profile("Patient", {"path": ""})) == ["structure Observation"]


def test_a_profile_on_an_element_of_another_profile() -> None:
    slicing = {"discriminator": [{"type": "pattern", "path": "code"}], "rules": "open"}
    part = {"path": "section", "sliceName": "a"}, {"path": "section.title", "min": 1}
    url = "http://example.net/sections"
    library = profile("Composition", {"path": "section", "slicing": slicing}, *part, url=url)
    named = {"extension": [{"url": CORE + "elementdefinition-profile-element", "valueString": "Composition.section:a"}]}
    of = [{"code": "BackboneElement", "profile": [library["url"]], "_profile": [named]}]
    using = profile("Composition", {"path": "section", "type": of})
    composition = {"resourceType": "Composition", "section": [{"title": "A"}, {"text": {}}]}
    assert errors(composition, using, library) == ["structure Composition.section[1]"]


def test_a_profile_may_impose_another() -> None:
    named = profile("Patient", {"path": "name", "min": 1}, url="http://example.net/named")
    imposing = {"url": CORE + "structuredefinition-imposeProfile", "valueCanonical": named["url"]}
    both = profile("Patient", {"path": "gender", "min": 1}, extension=[imposing])
    assert errors(patient(gender="male"), both, named) == ["structure Patient"]
    assert errors(patient(gender="male", name=[{"text": "A"}]), both, named) == []
