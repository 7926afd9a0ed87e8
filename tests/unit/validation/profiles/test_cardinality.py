"""How often elements and slices may occur."""

from tests.unit.validation.profiles.builders import errors, findings, observation, patient, profile


def test_a_required_element_that_is_missing_is_told_at_its_owner() -> None:
    needs_name = profile("Patient", {"path": "name", "min": 1})
    assert errors(patient(), needs_name) == ["structure Patient"]
    assert errors(patient(name=[{"text": "A"}]), needs_name) == []


def test_the_message_names_profile_and_element() -> None:
    (found,) = findings(patient(), profile("Patient", {"path": "name", "min": 1}))
    assert found.diagnostics == "Patient.name: minimum required = 1, but only found 0 (from http://example.net/profile)"


def test_more_than_one_may_be_required() -> None:
    two = profile("Patient", {"path": "name", "min": 2})
    assert errors(patient(name=[{"text": "A"}]), two) == ["structure Patient"]
    assert errors(patient(name=[{"text": "A"}, {"text": "B"}]), two) == []


def test_an_element_may_be_forbidden() -> None:
    no_photo = profile("Patient", {"path": "photo", "max": "0"})
    assert errors(patient(photo=[{"url": "x"}]), no_photo) == ["structure Patient"]
    assert errors(patient(), no_photo) == []


def test_a_list_may_be_limited() -> None:
    one = profile("Patient", {"path": "name", "max": "1"})
    assert errors(patient(name=[{"text": "A"}, {"text": "B"}]), one) == ["structure Patient"]


def test_elements_below_are_counted_for_each_owner() -> None:
    system = profile("Patient", {"path": "identifier.system", "min": 1})
    given = patient(identifier=[{"system": "urn:a", "value": "1"}, {"value": "2"}])
    assert errors(given, system) == ["structure Patient.identifier[1]"]
    assert errors(patient(), system) == []


def test_a_primitive_with_nothing_but_an_extension_is_there() -> None:
    born = profile("Patient", {"path": "birthDate", "min": 1})
    absent = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]
    }
    assert errors(patient(_birthDate=absent), born) == []


def test_a_choice_is_counted_whatever_its_type() -> None:
    valued = profile("Observation", {"path": "value[x]", "min": 1})
    assert errors(observation(valueString="x"), valued) == []
    assert errors(observation(), valued) == ["structure Observation"]


def test_backbone_elements_are_counted_in_their_owner() -> None:
    language = profile("Patient", {"path": "contact", "min": 1}, {"path": "contact.name", "min": 1})
    assert errors(patient(contact=[{"gender": "male"}]), language) == ["structure Patient.contact[0]"]


def test_extensions_of_primitives_can_be_required() -> None:
    timed = profile("Patient", {"path": "birthDate.extension", "min": 1})
    assert errors(patient(birthDate="2000-01-01"), timed) == ["structure Patient.birthDate"]
    with_one = patient(birthDate="2000-01-01", _birthDate={"extension": [{"url": "http://x", "valueString": "a"}]})
    assert errors(with_one, timed) == []


def test_what_lies_in_content_references_is_counted_too() -> None:
    texts = profile("Questionnaire", {"path": "item.text", "min": 1})
    inner = {"linkId": "1.1", "type": "string"}
    given = {
        "resourceType": "Questionnaire", "status": "draft",
        "item": [{"linkId": "1", "type": "group", "text": "x", "item": [inner]}],
    }  # fmt: skip
    assert errors(given, texts) == ["structure Questionnaire.item[0].item[0]"]
