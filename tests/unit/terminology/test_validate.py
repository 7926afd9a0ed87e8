"""$validate-code: whether a code is right, and what is said where it is not.

Spec: https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from typing import Any

import pytest

from fhir_server.errors import BadRequest, FhirError, NotFound
from fhir_server.terminology import Terminology
from fhir_server.terminology.requests import ValidateRequest
from fhir_server.terminology.validate import validate_code
from tests.unit.terminology.builders import (
    ANIMALS,
    code_system,
    concept,
    concepts,
    filtered,
    parameters,
    terminology,
    value_set,
)

Json = dict[str, Any]
PETS = value_set("pets", concepts(ANIMALS, "dog", "cat"))
ALL = value_set("all", {"system": ANIMALS})


def answer(service: Terminology, *, of_system: bool = False, languages: str = "", **asked: Any) -> Json:
    """The parameters of the answer by name, issues as (severity, kind, place, text)."""
    request = ValidateRequest.of(parameters(**asked), languages, of_system=of_system)
    found: Json = {}
    for item in validate_code(service, request)["parameter"]:
        value = next(item[key] for key in item if key != "name")
        if item["name"] == "issues":
            value = [
                (
                    issue["severity"],
                    issue["details"]["coding"][0]["code"],
                    *issue.get("expression", ()),
                    issue["details"]["text"],
                )
                for issue in value["issue"]
            ]
        found[item["name"]] = value
    return found


def kinds(found: Json) -> list[tuple[str, ...]]:
    """The issues without their texts."""
    return [issue[:-1] for issue in found.get("issues", ())]


def test_a_right_code_is_answered_with_its_system_version_and_display() -> None:
    system = code_system("s", "urn:s", {"code": "a", "display": "An A"}, version="3")
    service = terminology(system, value_set("x", {"system": "urn:s"}))
    assert answer(service, url="urn:vs:x", code="a", system="urn:s") == {
        "result": True,
        "code": "a",
        "system": "urn:s",
        "version": "3",
        "display": "An A",
    }


def test_a_code_outside_is_told_by_its_place_in_each_form_of_request() -> None:
    service = terminology(PETS)
    text = "The provided code 'urn:animals#bat' was not found in the value set 'urn:vs:pets'"
    coding = {"system": ANIMALS, "code": "bat"}
    by_code = answer(service, url="urn:vs:pets", code="bat", system=ANIMALS)
    assert by_code["issues"] == [("error", "not-in-vs", "code", text)]
    assert by_code["message"] == text
    by_coding = answer(service, url="urn:vs:pets", coding=coding)
    assert by_coding["issues"] == [("error", "not-in-vs", "Coding.code", text)]
    by_concept = answer(service, url="urn:vs:pets", codeableConcept={"coding": [coding]})
    assert kinds(by_concept) == [
        ("information", "this-code-not-in-vs", "CodeableConcept.coding[0].code"),
        ("error", "not-in-vs"),
    ]
    assert by_concept["message"] == "No valid coding was found for the value set 'urn:vs:pets'"
    assert not by_code["result"] and not by_coding["result"] and not by_concept["result"]


def test_one_right_coding_is_enough_but_a_wrong_one_beside_it_is_told() -> None:
    codings = [{"system": ANIMALS, "code": "unicorn"}, {"system": ANIMALS, "code": "dog"}]
    found = answer(terminology(PETS), url="urn:vs:pets", codeableConcept={"coding": codings})
    assert (found["code"], found["result"]) == ("dog", False)
    assert ("error", "invalid-code", "CodeableConcept.coding[0].code") in kinds(found)
    bat = [{"system": ANIMALS, "code": "bat"}, {"system": ANIMALS, "code": "dog"}]
    assert answer(terminology(PETS), url="urn:vs:pets", codeableConcept={"coding": bat})["result"] is True


def test_membership_only_says_nothing_of_the_code_itself() -> None:
    coding = {"system": ANIMALS, "code": "unicorn", "display": "x"}
    found = answer(terminology(PETS), url="urn:vs:pets", coding=coding, valueset__membership__only=True)
    assert kinds(found) == [("error", "not-in-vs", "Coding.code")]


def test_an_unknown_system_is_named_and_told_from_one_that_the_value_set_needs() -> None:
    service = terminology(PETS, value_set("loinc", {"system": "http://loinc.org"}))
    coding = {"system": "http://loinc.org", "code": "8867-4"}
    outside = answer(service, url="urn:vs:pets", coding=coding)
    assert outside["x-unknown-system"] == "http://loinc.org"
    assert kinds(outside) == [("error", "not-in-vs", "Coding.code"), ("error", "not-found", "Coding.system")]
    needed = answer(service, url="urn:vs:loinc", coding=coding)
    assert needed["x-caused-by-unknown-system"] == "http://loinc.org"
    assert kinds(needed) == [("error", "not-found", "Coding.system")]


def test_an_unknown_version_is_told_with_those_that_there_are() -> None:
    systems = [code_system(f"s{i}", "urn:s", concept("a"), version=f"1.{i}.0") for i in (9, 10)]
    service = terminology(*systems, value_set("x", {"system": "urn:s"}))
    found = answer(service, url="urn:vs:x", coding={"system": "urn:s", "code": "a", "version": "2"})
    assert found["result"] is False
    assert found["version"] == "1.10.0"
    assert found["message"].endswith("Valid versions: 1.9.0 or 1.10.0")
    assert ("warning", "vs-invalid", "Coding.version") in kinds(found)
    right = answer(service, url="urn:vs:x", coding={"system": "urn:s", "code": "a", "version": "1.9.0"})
    assert (right["result"], right["version"]) == (True, "1.9.0")


def test_the_version_of_the_value_set_goes_before_that_of_the_coding() -> None:
    systems = [code_system(f"s{i}", "urn:s", {"code": "a", "display": f"A{i}"}, version=f"1.{i}.0") for i in (0, 1)]
    service = terminology(
        *systems,
        value_set("x", {"system": "urn:s", "version": "1.0.0"}),
        value_set("any", {"system": "urn:s", "version": "1.x"}),
    )
    coding = {"system": "urn:s", "code": "a", "version": "1.1.0"}
    found = answer(service, url="urn:vs:x", coding=coding)
    assert (found["result"], found["display"]) == (False, "A0")
    assert kinds(found) == [("error", "vs-invalid", "Coding.version")]
    assert answer(service, url="urn:vs:any", coding=coding)["display"] == "A1"
    forced = answer(service, url="urn:vs:x", coding=coding, force__system__version="urn:s|1.1.0")
    assert (forced["result"], forced["display"]) == (True, "A1")


def test_displays_are_right_in_any_case_and_wrong_with_a_hint() -> None:
    dog = {"code": "d", "display": "A dog", "designation": [{"language": "de", "value": "Ein Hund"}]}
    service = terminology(code_system("s", "urn:s", dog, language="en"), value_set("x", {"system": "urn:s"}))

    def told(display: str, **more: Any) -> Json:
        return answer(service, url="urn:vs:x", code="d", system="urn:s", display=display, **more)

    assert told("a DOG")["result"] is told("Ein Hund")["result"] is True
    assert told("A cat")["message"] == (
        "Wrong Display Name 'A cat' for urn:s#d. Valid display is 'A dog' (en) (for the language(s) '--')"
    )
    assert told("A  dog")["message"].startswith("Wrong whitespace in Display Name 'A  dog'")
    assert told("A dog", displayLanguage="de")["message"].endswith(
        "Valid display is 'Ein Hund' (de) (for the language(s) 'de')"
    )
    assert told("A dog", displayLanguage="de")["display"] == "Ein Hund"
    lenient = told("A cat", lenient__display__validation=True)
    assert (lenient["result"], kinds(lenient)) == (True, [("warning", "invalid-display", "display")])
    other = told("A dog", displayLanguage="fr")
    assert (other["result"], kinds(other)) == (True, [("information", "invalid-display", "display")])
    assert "no valid display names found for language(s) 'fr'" in told("A cat", displayLanguage="fr")["message"]


def test_abstract_inactive_and_differently_written_codes_are_told() -> None:
    group = concept("Group") | {"property": [{"code": "notSelectable", "valueBoolean": True}]}
    old = concept("old") | {"property": [{"code": "status", "valueCode": "retired"}]}
    system = code_system("s", "urn:s", group, old, caseSensitive=False)
    service = terminology(system, value_set("x", {"system": "urn:s"}))
    assert answer(service, url="urn:vs:x", code="Group", system="urn:s")["result"] is True
    refused = answer(service, url="urn:vs:x", code="Group", system="urn:s", abstract=False)
    assert ("error", "code-rule", "code") in kinds(refused)
    retired = answer(service, url="urn:vs:x", code="old", system="urn:s")
    assert (retired["result"], retired["inactive"], retired["status"]) == (True, True, "retired")
    assert "has a status of retired and inactive" in retired["message"]
    other = answer(service, url="urn:vs:x", code="GROUP", system="urn:s")
    assert (other["result"], other["code"], other["normalized-code"]) == (True, "GROUP", "Group")
    assert kinds(other) == [("information", "code-rule", "code")]


def test_the_system_of_a_code_is_inferred_where_there_is_just_one() -> None:
    twin = code_system("t", "urn:twin", concept("dog"))
    both = value_set("both", {"system": ANIMALS}, {"system": "urn:twin"})
    service = terminology(twin, both, ALL)
    assert answer(service, url="urn:vs:all", code="dog", inferSystem=True)["system"] == ANIMALS
    several = answer(service, url="urn:vs:both", code="dog", inferSystem=True)
    assert ("error", "cannot-infer", "code") in kinds(several)
    assert "multiple matches" in several["message"]
    assert ("error", "cannot-infer", "code") in kinds(answer(service, url="urn:vs:all", code="x", inferSystem=True))
    with pytest.raises(BadRequest, match="Unable to find code"):
        answer(service, url="urn:vs:all", code="dog")


@pytest.mark.parametrize(
    ("system", "text"),
    [
        ("animals", "must be an absolute reference"),
        ("urn:vs:pets", "references a value set, not a code system"),
        ("urn:added", "is a supplement, so can't be used"),
    ],
)
def test_what_is_no_url_of_a_code_system_is_told(system: str, text: str) -> None:
    added = code_system("a", "urn:added", concept("dog"), content="supplement", supplements=ANIMALS)
    found = answer(terminology(PETS, added), url="urn:vs:pets", coding={"system": system, "code": "dog"})
    assert text in found["message"]
    assert ("error", "invalid-data", "Coding.system") in kinds(found)


def test_a_coding_without_a_system_means_nothing() -> None:
    found = answer(terminology(PETS), url="urn:vs:pets", coding={"code": "dog"})
    assert kinds(found) == [("warning", "invalid-data", "Coding"), ("error", "not-in-vs", "Coding.code")]


def test_a_system_is_asked_without_a_value_set() -> None:
    service = terminology()
    assert answer(service, of_system=True, url=ANIMALS, code="dog")["result"] is True
    wrong = answer(service, of_system=True, coding={"system": ANIMALS, "code": "unicorn"})
    assert wrong["issues"] == [
        ("error", "invalid-code", "Coding.code", "Unknown code 'unicorn' in the CodeSystem 'urn:animals'")
    ]
    unknown = answer(service, of_system=True, url="urn:nowhere", code="x")
    assert (unknown["result"], unknown["x-caused-by-unknown-system"]) == (False, "urn:nowhere")


def test_a_fragment_leaves_it_open_with_a_warning() -> None:
    part = code_system("p", "urn:part", concept("one"), content="fragment", version="1")
    service = terminology(part, value_set("x", {"system": "urn:part"}))
    found = answer(service, url="urn:vs:x", code="two", system="urn:part")
    assert (found["result"], kinds(found)) == (True, [("warning", "invalid-code", "code")])


def test_what_a_value_set_rests_on_is_looked_at() -> None:
    status = "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status"
    draft = code_system("d", "urn:d", concept("a")) | {"status": "draft"}
    withdrawn = value_set("w", {"system": "urn:d"}, extension=[{"url": status, "valueCode": "withdrawn"}])
    service = terminology(draft, withdrawn, value_set("x", {"valueSet": ["urn:vs:w"]}))
    texts = [issue[-1] for issue in answer(service, url="urn:vs:x", code="a", system="urn:d")["issues"]]
    assert sorted(texts) == ["Reference to draft CodeSystem urn:d", "Reference to withdrawn ValueSet urn:vs:w"]


def test_a_code_that_the_value_set_marks_as_deprecated_is_told() -> None:
    marked = {"code": "dog", "extension": [_extension("valueset-deprecated", valueBoolean=True)]}
    service = terminology(value_set("x", {"system": ANIMALS, "concept": [marked]}))
    found = answer(service, url="urn:vs:x", code="dog", system=ANIMALS)
    assert (found["result"], kinds(found)) == (True, [("warning", "code-comment", "code")])


def test_what_cannot_be_answered_ends_the_request() -> None:
    circle = value_set("c", {"valueSet": ["urn:vs:c"]})
    needs = value_set("n", {"system": ANIMALS}, extension=[_extension("valueset-supplement", valueCanonical="urn:no")])
    service = terminology(circle, needs, value_set("f", filtered("like", "x")))
    with pytest.raises(NotFound, match="'urn:vs:gone' could not be found"):
        answer(service, url="urn:vs:gone", code="dog", system=ANIMALS)
    for name in ("c", "n", "f"):
        with pytest.raises(FhirError):
            answer(service, url=f"urn:vs:{name}", code="dog", system=ANIMALS)


def test_an_import_that_is_missing_is_told_in_the_answer() -> None:
    service = terminology(value_set("x", {"valueSet": ["urn:vs:gone"]}))
    found = answer(service, url="urn:vs:x", code="dog", system=ANIMALS)
    assert found["result"] is False
    assert found["message"] == "A definition for the value Set 'urn:vs:gone' could not be found"


def test_a_value_set_of_the_request_may_have_no_url() -> None:
    inline = {"resourceType": "ValueSet", "status": "active", "compose": {"include": [concepts(ANIMALS, "dog")]}}
    assert answer(terminology(), valueSet=inline, code="dog", system=ANIMALS)["result"] is True
    assert "'(unidentified)'" in answer(terminology(), valueSet=inline, code="cat", system=ANIMALS)["message"]


def _extension(name: str, **value: Any) -> Json:
    return {"url": f"http://hl7.org/fhir/StructureDefinition/{name}"} | value


def test_an_element_of_a_type_or_profile_names_the_value_set_that_it_is_bound_to() -> None:
    gender = {"code": "male", "system": "http://hl7.org/fhir/administrative-gender"}
    of_profile = "http://hl7.org/fhir/StructureDefinition/Patient#Patient.gender"
    for context in ("Patient.gender", of_profile):
        assert answer(terminology(), context=context, coding=gender)["result"] is True
        assert answer(terminology(), context=context, coding=gender | {"code": "x"})["result"] is False
    with pytest.raises(BadRequest, match="bound to none"):
        answer(terminology(), context="Patient.name", coding=gender)


def test_imports_that_double_at_every_step_are_looked_through_once_each() -> None:
    doubled = [
        value_set(f"{i}", {"valueSet": [f"urn:vs:{i + 1}"]}, {"valueSet": [f"urn:vs:{i + 1}"]}) for i in range(40)
    ]
    service = terminology(*doubled, value_set("40", concepts(ANIMALS, "dog")))
    assert answer(service, url="urn:vs:0", code="dog", system=ANIMALS)["result"] is True
    assert service.check("urn:vs:0", ANIMALS, "cat").result is False
