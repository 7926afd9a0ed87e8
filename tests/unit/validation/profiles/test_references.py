"""Targets of references: by name, by profile, how they are reached."""

from typing import Any

from tests.unit.validation.profiles.builders import CORE, errors, findings, observation, patient, profile

NAMED = "http://example.net/named"
NAMED_PATIENT = profile("Patient", {"path": "name", "min": 1}, url=NAMED)


def _subject(*targets: str, **more: Any) -> dict[str, Any]:
    return profile(
        "Observation", {"path": "subject", "type": [{"code": "Reference", "targetProfile": list(targets), **more}]}
    )


PATIENTS = _subject(CORE + "Patient", CORE + "Location")


def test_the_type_in_the_reference_must_be_allowed() -> None:
    assert errors(observation(subject={"reference": "Group/1"}), PATIENTS) == ["structure Observation.subject"]
    assert errors(observation(subject={"reference": "http://x.org/fhir/Group/1/_history/2"}), PATIENTS) == [
        "structure Observation.subject"
    ]
    assert errors(observation(subject={"reference": "Patient/1"}), PATIENTS) == []


def test_the_type_beside_the_reference_counts_where_the_url_says_none() -> None:
    given = observation(subject={"reference": "urn:uuid:aaaaaaaa-0000-0000-0000-000000000000", "type": "Group"})
    assert errors(given, PATIENTS) == ["structure Observation.subject"]


def test_a_reference_by_identifier_alone_is_not_judged() -> None:
    assert errors(observation(subject={"identifier": {"value": "1"}}), PATIENTS) == []


def test_a_profile_on_the_target_needs_its_type() -> None:
    assert errors(observation(subject={"reference": "Group/1"}), _subject(NAMED), NAMED_PATIENT) == [
        "structure Observation.subject"
    ]
    assert errors(observation(subject={"reference": "Patient/1"}), _subject(NAMED), NAMED_PATIENT) == []


def test_a_contained_target_must_have_the_profile() -> None:
    given = observation(contained=[patient(id="p")], subject={"reference": "#p"})
    assert errors(given, _subject(NAMED), NAMED_PATIENT) == ["structure Observation.subject"]
    given["contained"][0]["name"] = [{"text": "A"}]
    assert errors(given, _subject(NAMED), NAMED_PATIENT) == []


def test_the_details_of_a_target_are_told() -> None:
    given = observation(contained=[patient(id="p")], subject={"reference": "#p"})
    _, detail = findings(given, _subject(NAMED), NAMED_PATIENT)
    assert detail.severity == "information"
    assert "Patient.name: minimum required = 1" in detail.diagnostics


def test_one_of_several_target_profiles_is_enough() -> None:
    male = profile("Patient", {"path": "gender", "min": 1}, url="http://example.net/gender")
    given = observation(contained=[patient(id="p", gender="male")], subject={"reference": "#p"})
    assert errors(given, _subject(NAMED, male["url"]), NAMED_PATIENT, male) == []


def test_what_the_caller_resolves_is_checked() -> None:
    target = patient(id="1")
    given = observation(subject={"reference": "Patient/1"})
    found = errors(given, _subject(NAMED), NAMED_PATIENT, resolve={"Patient/1": target}.get)
    assert found == ["structure Observation.subject"]


def _bundle(**elements: Any) -> dict[str, Any]:
    referring = observation(id="o", subject={"reference": "Patient/p"})
    entries = [
        {"fullUrl": "http://x.org/fhir/Observation/o", "resource": referring},
        {"fullUrl": "http://x.org/fhir/Patient/p", "resource": patient(id="p", **elements)},
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def test_targets_in_the_bundle_are_found_by_full_url() -> None:
    typed = [{"code": "Resource", "profile": [_subject(NAMED)["url"]]}]
    slicing = {"discriminator": [{"type": "type", "path": "resource"}], "rules": "open"}
    whole = profile(
        "Bundle", {"path": "entry", "slicing": slicing}, {"path": "entry", "sliceName": "o"},
        {"path": "entry.resource", "type": [{"code": "Observation", "profile": typed[0]["profile"]}]},
        url="http://example.net/bundle",
    )  # fmt: skip
    assert errors(_bundle(), whole, _subject(NAMED), NAMED_PATIENT) == ["structure Bundle.entry[0].resource.subject"]
    assert errors(_bundle(name=[{"text": "A"}]), whole, _subject(NAMED), NAMED_PATIENT) == []


def test_circles_of_references_end() -> None:
    url = "http://example.net/linked"
    linked = profile(
        "Patient", {"path": "gender", "fixedCode": "other"},
        {"path": "link.other", "type": [{"code": "Reference", "targetProfile": [url]}]}, url=url,
    )  # fmt: skip

    def link(name: str) -> list[dict[str, Any]]:
        return [{"other": {"reference": f"Patient/{name}"}, "type": "seealso"}]

    a, b = patient(id="a", gender="other", link=link("b")), patient(id="b", gender="other", link=link("a"))
    at_hand = {"Patient/a": a, "Patient/b": b}
    assert errors(a, linked, resolve=at_hand.get) == []
    b["gender"] = "male"
    assert errors(a, linked, resolve=at_hand.get) == ["structure Patient.link[0].other"]


def test_aggregation_says_how_targets_are_reached() -> None:
    contained = _subject(CORE + "Patient", aggregation=["contained"])
    inside = observation(contained=[patient(id="p")], subject={"reference": "#p"})
    assert errors(inside, contained) == []
    assert errors(observation(subject={"reference": "Patient/1"}), contained) == ["structure Observation.subject"]
    referenced = _subject(CORE + "Patient", aggregation=["referenced"])
    assert errors(inside, referenced) == ["structure Observation.subject"]
    assert errors(observation(subject={"reference": "Patient/1"}), referenced) == []


def test_a_reference_may_have_to_name_a_version() -> None:
    versioned = _subject(CORE + "Patient", versioning="specific")
    assert errors(observation(subject={"reference": "Patient/1"}), versioned) == ["structure Observation.subject"]
    assert errors(observation(subject={"reference": "Patient/1/_history/1"}), versioned) == []
