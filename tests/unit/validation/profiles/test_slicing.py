"""Slices: discriminators, rules, order, re-slices, defaults, choices."""

from typing import Any

import pytest

from tests.unit.validation.profiles.builders import CORE, errors, findings, observation, patient, profile

Json = dict[str, Any]


def sliced(path: str, *discriminators: str, rules: str = "open", **more: Any) -> Json:
    """The entry of a slicing; discriminators are written `value:system`."""
    found = [dict(zip(("type", "path"), each.split(":", 1), strict=True)) for each in discriminators]
    slicing = {"rules": rules, **({"discriminator": found} if found else {}), **more}
    return {"path": path, "slicing": slicing}


def telecoms(rules: str = "open", **more: Any) -> Json:
    """Phones at home are wanted, e-mail addresses may be there."""
    return profile(
        "Patient", sliced("telecom", "value:system", rules=rules, **more),
        {"path": "telecom", "sliceName": "phone", "min": 1, "max": "1"},
        {"path": "telecom.system", "min": 1, "fixedCode": "phone"},
        {"path": "telecom.value", "min": 1},
        {"path": "telecom", "sliceName": "email", "max": "1"},
        {"path": "telecom.system", "min": 1, "fixedCode": "email"},
    )  # fmt: skip


PHONE, EMAIL, FAX = ({"system": name, "value": "1"} for name in ("phone", "email", "fax"))


def test_a_slice_that_must_be_there_is_told_at_the_owner() -> None:
    (found,) = [issue for issue in findings(patient(telecom=[EMAIL]), telecoms()) if issue.severity == "error"]
    assert found.expression == ("Patient",)
    assert found.diagnostics.startswith("Slice 'Patient.telecom:phone': a matching slice is required, but not found")


def test_a_slice_must_be_there_even_if_the_element_is_not() -> None:
    assert errors(patient(), telecoms()) == ["structure Patient"]


def test_slices_have_an_upper_limit() -> None:
    assert errors(patient(telecom=[PHONE, PHONE]), telecoms()) == ["structure Patient"]
    assert errors(patient(telecom=[PHONE, EMAIL]), telecoms()) == []


def test_what_a_slice_says_holds_for_its_members_only() -> None:
    assert errors(patient(telecom=[{"system": "phone"}, {"system": "email"}]), telecoms()) == [
        "structure Patient.telecom[0]"
    ]


def test_open_slicing_informs_of_what_is_of_no_slice() -> None:
    (found,) = findings(patient(telecom=[PHONE, FAX]), telecoms())
    assert (found.severity, found.expression) == ("information", ("Patient.telecom[1]",))


def test_closed_slicing_refuses_what_is_of_no_slice() -> None:
    assert errors(patient(telecom=[PHONE, FAX]), telecoms("closed")) == ["invalid Patient.telecom[1]"]


def test_open_at_end_lets_others_come_last() -> None:
    assert errors(patient(telecom=[PHONE, FAX]), telecoms("openAtEnd")) == []
    assert errors(patient(telecom=[FAX, PHONE]), telecoms("openAtEnd")) == ["invalid Patient.telecom[1]"]


def test_ordered_slices_come_in_their_order() -> None:
    assert errors(patient(telecom=[PHONE, EMAIL]), telecoms(ordered=True)) == []
    assert errors(patient(telecom=[EMAIL, PHONE]), telecoms(ordered=True)) == ["invalid Patient.telecom[1]"]


def test_two_discriminators_must_both_fit() -> None:
    home = profile(
        "Patient", sliced("telecom", "value:system", "value:use", rules="closed"),
        {"path": "telecom", "sliceName": "home"},
        {"path": "telecom.system", "fixedCode": "phone"}, {"path": "telecom.use", "fixedCode": "home"},
    )  # fmt: skip
    assert errors(patient(telecom=[{**PHONE, "use": "home"}]), home) == []
    assert errors(patient(telecom=[{**PHONE, "use": "work"}]), home) == ["invalid Patient.telecom[0]"]


def test_that_an_element_may_not_be_there_discriminates() -> None:
    unused = profile(
        "Patient", sliced("telecom", "value:use", rules="closed"),
        {"path": "telecom", "sliceName": "unused"}, {"path": "telecom.use", "max": "0"},
    )  # fmt: skip
    assert errors(patient(telecom=[PHONE]), unused) == []
    assert errors(patient(telecom=[{**PHONE, "use": "work"}]), unused) == ["invalid Patient.telecom[0]"]


def test_existence_discriminates() -> None:
    used = profile(
        "Patient", sliced("telecom", "exists:use"),
        {"path": "telecom", "sliceName": "used", "max": "1"}, {"path": "telecom.use", "min": 1},
        {"path": "telecom", "sliceName": "unused", "max": "1"}, {"path": "telecom.use", "max": "0"},
    )  # fmt: skip
    assert errors(patient(telecom=[PHONE, {**PHONE, "use": "home"}]), used) == []
    assert errors(patient(telecom=[PHONE, PHONE]), used) == ["structure Patient"]


CODE = {"coding": [{"system": "urn:a", "code": "1"}]}


@pytest.mark.parametrize("kind", ["value", "pattern"])
def test_patterns_discriminate(kind: str) -> None:
    coded = profile(
        "Observation", sliced("category", f"{kind}:$this"),
        {"path": "category", "sliceName": "a", "min": 1, "patternCodeableConcept": CODE},
    )  # fmt: skip
    more = {"coding": [*CODE["coding"], {"code": "x"}], "text": "A"}
    assert errors(observation(category=[{"text": "x"}, more]), coded) == []
    assert errors(observation(category=[{"text": "x"}]), coded) == ["structure Observation"]


def test_paths_go_down() -> None:
    coded = profile(
        "Observation", sliced("component", "value:code.coding.code"),
        {"path": "component", "sliceName": "a", "min": 1}, {"path": "component.code.coding.code", "fixedCode": "1"},
        {"path": "component.value[x]", "min": 1},
    )  # fmt: skip
    assert errors(observation(component=[{"code": CODE}]), coded) == ["structure Observation.component[0]"]
    assert errors(observation(component=[{"code": CODE, "valueString": "x"}]), coded) == []
    assert errors(observation(component=[]), coded) == ["structure Observation"]


def test_a_pattern_above_the_path_discriminates() -> None:
    coded = profile(
        "Observation", sliced("component", "value:code.coding.code"),
        {"path": "component", "sliceName": "a", "min": 1}, {"path": "component.code", "patternCodeableConcept": CODE},
    )  # fmt: skip
    assert errors(observation(component=[{"code": CODE}]), coded) == []
    assert errors(observation(component=[{"code": {"coding": [{"code": "2"}]}}]), coded) == ["structure Observation"]


def test_value_sets_discriminate() -> None:
    bound = {"binding": {"strength": "required", "valueSet": "http://hl7.org/fhir/ValueSet/observation-category"}}
    coded = profile(
        "Observation",
        sliced("category", "value:$this"),
        {"path": "category", "sliceName": "standard", "min": 1, **bound},
    )
    vital = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]
    }
    assert errors(observation(category=[vital]), coded) == []
    assert errors(observation(category=[CODE]), coded) == ["structure Observation"]


def entries(**resource: Any) -> Json:
    """A Bundle with a Patient and an Observation."""
    found = [{"resource": patient(**resource)}, {"resource": observation()}]
    return {"resourceType": "Bundle", "type": "collection", "entry": found}


def test_types_of_resources_discriminate() -> None:
    typed = profile(
        "Bundle", sliced("entry", "type:resource"), {"path": "entry", "sliceName": "p", "min": 1, "max": "1"},
        {"path": "entry.resource", "min": 1, "type": [{"code": "Patient"}]},
        {"path": "entry", "sliceName": "d", "min": 1},
        {"path": "entry.resource", "min": 1, "type": [{"code": "Device"}]},
    )  # fmt: skip
    found = [issue.diagnostics for issue in findings(entries(), typed) if issue.severity == "error"]
    assert len(found) == 1
    assert found[0].startswith("Slice 'Bundle.entry:d'")


def test_profiles_discriminate() -> None:
    named = profile("Patient", {"path": "name", "min": 1}, url="http://example.net/named")
    by_profile = profile(
        "Bundle", sliced("entry", "profile:resource"), {"path": "entry", "sliceName": "p", "min": 1},
        {"path": "entry.resource", "type": [{"code": "Patient", "profile": [named["url"]]}]},
    )  # fmt: skip
    assert errors(entries(), by_profile, named) == ["structure Bundle"]
    assert errors(entries(name=[{"text": "A"}]), by_profile, named) == []


def test_types_of_targets_discriminate_whether_they_are_at_hand_or_not() -> None:
    target = [{"code": "Reference", "targetProfile": [CORE + "Practitioner"]}]
    doctors = profile(
        "Observation",
        sliced("performer", "type:resolve()"),
        {"path": "performer", "sliceName": "d", "min": 1, "type": target},
    )
    assert errors(observation(performer=[{"reference": "Practitioner/1"}]), doctors) == []
    assert errors(observation(performer=[{"reference": "Organization/1"}]), doctors) == ["structure Observation"]
    inside = observation(contained=[{"resourceType": "Practitioner", "id": "d"}], performer=[{"reference": "#d"}])
    assert errors(inside, doctors) == []


def test_profiles_of_targets_discriminate() -> None:
    named = profile("Practitioner", {"path": "name", "min": 1}, url="http://example.net/named")
    target = [{"code": "Reference", "targetProfile": [named["url"]]}]
    doctors = profile(
        "Observation", sliced("performer", "profile:resolve()"),
        {"path": "performer", "sliceName": "d", "min": 1, "type": target},
    )  # fmt: skip
    inside = observation(contained=[{"resourceType": "Practitioner", "id": "d"}], performer=[{"reference": "#d"}])
    assert "structure Observation" in errors(inside, doctors, named)
    inside["contained"][0]["name"] = [{"text": "A"}]
    assert errors(inside, doctors, named) == []


def test_values_of_extensions_discriminate() -> None:
    url = "http://example.net/scope"
    scope = profile(
        "Extension", {"path": "url", "fixedUri": url}, {"path": "value[x]", "type": [{"code": "boolean"}]}, url=url,
        context=[{"type": "element", "expression": "Element"}],
    )  # fmt: skip
    extended = [{"code": "Extension", "profile": [url]}]
    by_scope = profile(
        "Patient", sliced("contact", f"value:extension('{url}').value.ofType(boolean)"),
        {"path": "contact", "sliceName": "first", "max": "1"},
        {"path": "contact.extension", "sliceName": "scope", "min": 1, "type": extended},
        {"path": "contact.extension.value[x]", "fixedBoolean": True},
        {"path": "contact", "sliceName": "other"},
        {"path": "contact.extension", "sliceName": "scope", "min": 1, "type": extended},
        {"path": "contact.extension.value[x]", "fixedBoolean": False},
    )  # fmt: skip

    def contact(value: bool) -> Json:
        return {"extension": [{"url": url, "valueBoolean": value}], "gender": "male"}

    assert errors(patient(contact=[contact(True), contact(False), contact(False)]), by_scope, scope) == []
    assert errors(patient(contact=[contact(True), contact(True)]), by_scope, scope) == ["structure Patient"]


def test_choices_are_sliced_by_their_type() -> None:
    typed = profile(
        "Observation", sliced("value[x]", "type:$this"),
        {"path": "value[x]", "sliceName": "valueQuantity", "type": [{"code": "Quantity"}]},
        {"path": "value[x].code", "min": 1},
    )  # fmt: skip
    assert errors(observation(valueQuantity={"value": 1}), typed) == ["structure Observation.value.ofType(Quantity)"]
    assert errors(observation(valueString="x"), typed) == []


def test_re_slices_are_slices_of_a_slice() -> None:
    again = profile(
        "Patient", sliced("telecom", "value:system"),
        {"path": "telecom", "sliceName": "phone", "slicing": sliced("", "value:use")["slicing"]},
        {"path": "telecom.system", "min": 1, "fixedCode": "phone"},
        {"path": "telecom", "sliceName": "phone/home", "min": 1, "max": "1"},
        {"path": "telecom.system", "min": 1, "fixedCode": "phone"},
        {"path": "telecom.use", "min": 1, "fixedCode": "home"},
    )  # fmt: skip
    home = {**PHONE, "use": "home"}
    assert errors(patient(telecom=[home, PHONE, EMAIL]), again) == []
    assert errors(patient(telecom=[home, home]), again) == ["structure Patient"]
    assert errors(patient(telecom=[PHONE, {**EMAIL, "use": "home"}]), again) == ["structure Patient"]


def test_the_default_slice_is_for_all_others() -> None:
    rest = profile(
        "Patient", sliced("telecom", "value:system", rules="closed"),
        {"path": "telecom", "sliceName": "phone"}, {"path": "telecom.system", "fixedCode": "phone"},
        {"path": "telecom", "sliceName": "@default"}, {"path": "telecom.use", "min": 1},
    )  # fmt: skip
    assert errors(patient(telecom=[PHONE, {**FAX, "use": "work"}]), rest) == []
    assert errors(patient(telecom=[PHONE, FAX]), rest) == ["structure Patient.telecom[1]"]


def test_without_discriminators_the_content_tells_the_slice() -> None:
    either = profile(
        "Patient", sliced("telecom"),
        {"path": "telecom", "sliceName": "used", "min": 1}, {"path": "telecom.use", "min": 1},
    )  # fmt: skip
    assert errors(patient(telecom=[{**PHONE, "use": "home"}]), either) == []
    assert errors(patient(telecom=[PHONE]), either) == ["structure Patient"]


def test_slices_in_slices() -> None:
    nested = profile(
        "Patient", sliced("contact", "value:gender"),
        {"path": "contact", "sliceName": "woman"}, {"path": "contact.gender", "min": 1, "fixedCode": "female"},
        sliced("contact.telecom", "value:system"),
        {"path": "contact.telecom", "sliceName": "phone", "min": 1},
        {"path": "contact.telecom.system", "fixedCode": "phone"},
    )  # fmt: skip
    assert errors(patient(contact=[{"gender": "female", "telecom": [EMAIL]}]), nested) == [
        "structure Patient.contact[0]"
    ]
    assert errors(patient(contact=[{"gender": "male", "telecom": [EMAIL]}]), nested) == []


def test_an_element_of_two_slices_is_an_error() -> None:
    both = profile(
        "Patient", sliced("telecom", "exists:use"),
        {"path": "telecom", "sliceName": "a"}, {"path": "telecom.use", "min": 1},
        {"path": "telecom", "sliceName": "b"}, {"path": "telecom.use", "min": 1},
    )  # fmt: skip
    assert errors(patient(telecom=[{**PHONE, "use": "home"}]), both) == ["invalid Patient.telecom[0]"]


@pytest.mark.parametrize("path", ["system", "where(a = 1)", "no.such.element", "system."])
def test_a_discriminator_that_cannot_be_evaluated_is_one_warning(path: str) -> None:
    useless = profile("Patient", sliced("telecom", f"value:{path}"), {"path": "telecom", "sliceName": "a", "min": 1})
    found = [issue for issue in findings(patient(telecom=[PHONE, EMAIL]), useless) if issue.severity != "information"]
    assert [(issue.severity, issue.code) for issue in found] == [("warning", "not-supported")]
    assert path in found[0].diagnostics
