"""Extensions: values, contexts, lists, names, unknown ones."""

from typing import Any

import pytest

from fhir_server.packages import core_library
from fhir_server.validation.place import Place
from fhir_server.validation.profiles import check_extension
from fhir_server.validation.profiles.contexts import allows, read_contexts
from fhir_server.validation.profiles.spot import Spot
from tests.unit.validation.profiles.builders import (
    CORE,
    EXTENSION,
    extension,
    extension_findings,
    patient,
    run_of,
    simple_extension,
)

Json = dict[str, Any]


def faults(resource: Json, *definitions: Json, **more: Any) -> list[str]:
    """Severity, code and place of each finding."""
    found = extension_findings(resource, *definitions, **more)
    return [f"{issue.severity} {issue.code} {issue.expression[0]}" for issue in found]


def extended(url: str = EXTENSION, **value: Any) -> Json:
    """A Patient with one extension."""
    return patient(extension=[{"url": url, **value}])


def test_the_value_has_the_type_that_is_defined() -> None:
    assert faults(extended(valueString="x"), simple_extension("string")) == []
    assert faults(extended(valueCode="x"), simple_extension("string")) == ["error structure Patient.extension[0]"]


def test_a_value_may_be_required() -> None:
    assert faults(patient(extension=[{"url": EXTENSION}]), simple_extension("string")) == [
        "error structure Patient.extension[0]"
    ]


@pytest.mark.parametrize("context", ["Patient", "DomainResource", "Resource", "Element"])
def test_a_context_may_be_a_type_or_a_wider_one(context: str) -> None:
    assert faults(extended(valueString="x"), simple_extension("string", context=context)) == []


def test_another_context_is_an_error_of_the_owner() -> None:
    (found,) = extension_findings(extended(valueString="x"), simple_extension("string", context="Observation"))
    assert (found.severity, found.code, found.expression) == ("error", "structure", ("Patient",))
    assert "e:Observation" in found.diagnostics


def nested(context: str, kind: str = "element", **resource: Any) -> list[str]:
    """What is found of an extension in the first name of a Patient."""
    given = patient(name=[{"text": "A", "extension": [{"url": EXTENSION, "valueString": "x"}]}], **resource)
    run = run_of(given, simple_extension("string", context=context, kind=kind))
    place = Place(Place(Place(None, "Patient"), "name", 0), "extension", 0)
    check_extension(given["name"][0]["extension"][0], place, run)
    return [issue.expression[0] for issue in run.findings.issues]


@pytest.mark.parametrize(
    ("context", "allowed"),
    [
        ("HumanName", True),
        ("Patient.name", True),
        ("Patient", False),
        ("Patient.contact.name", False),
        ("Address", False),
    ],
)
def test_a_context_may_be_a_path_or_a_data_type(context: str, allowed: bool) -> None:
    assert (nested(context) == []) is allowed
    assert allowed or nested(context) == ["Patient.name[0]"]


@pytest.mark.parametrize(
    ("expression", "allowed"), [("Patient.name.where(text = 'A')", True), ("Patient.name.where(text = 'B')", False)]
)
def test_a_context_may_be_an_expression(expression: str, allowed: bool) -> None:
    assert (nested(expression, "fhirpath") == []) is allowed


def test_extensions_of_primitives_have_the_primitive_for_context() -> None:
    given = patient(birthDate="2000-01-01", _birthDate={"extension": [{"url": EXTENSION, "valueString": "x"}]})
    for context, allowed in (("Patient.birthDate", True), ("date", True), ("Patient", False)):
        run = run_of(given, simple_extension("string", context=context))
        place = Place(Place(Place(None, "Patient"), "birthDate"), "extension", 0)
        check_extension({"url": EXTENSION, "valueString": "x"}, place, run)
        assert (run.findings.issues == []) is allowed


def test_a_context_may_be_another_extension() -> None:
    outer = "http://example.net/outer"
    given = patient(extension=[{"url": outer, "extension": [{"url": EXTENSION, "valueString": "x"}]}])
    for url, allowed in ((outer, True), ("http://example.net/else", False)):
        run = run_of(given, simple_extension("string", context=url, kind="extension"))
        place = Place(Place(Place(None, "Patient"), "extension", 0), "extension", 0)
        check_extension(given["extension"][0]["extension"][0], place, run)
        assert (run.findings.issues == []) is allowed


def test_a_context_holds_in_resources_in_a_bundle() -> None:
    inner = extended(valueString="x")
    given = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}]}
    run = run_of(given, simple_extension("string", context="Patient"))
    place = Place(Place(Place(Place(None, "Bundle"), "entry", 0), "resource"), "extension", 0)
    check_extension(inner["extension"][0], place, run)
    assert run.findings.issues == []


def test_a_context_may_have_a_condition() -> None:
    definition = simple_extension("string", context="Patient", contextInvariant=["active", "%extension.value = 'x'"])
    assert faults({**extended(valueString="x"), "active": True}, definition) == []
    assert faults({**extended(valueString="x"), "active": False}, definition) == ["error structure Patient"]
    assert faults({**extended(valueString="y"), "active": True}, definition) == ["error structure Patient"]


MODIFIER = extension(
    {"path": "", "isModifier": True, "isModifierReason": "x"}, {"path": "value[x]", "type": [{"code": "string"}]}
)


def test_a_modifier_belongs_in_its_list() -> None:
    assert faults(extended(valueString="x"), MODIFIER) == ["error structure Patient.extension[0]"]
    given = patient(modifierExtension=[{"url": EXTENSION, "valueString": "x"}])
    assert faults(given, MODIFIER, modifier=True) == []
    assert faults(given, simple_extension("string"), modifier=True) == ["error structure Patient.modifierExtension[0]"]


COMPLEX = extension(
    {"path": "extension", "slicing": {"discriminator": [{"type": "value", "path": "url"}], "rules": "open"}},
    {"path": "extension", "sliceName": "kind", "min": 1, "max": "1"},
    {"path": "extension.url", "fixedUri": "kind"},
    {"path": "extension.value[x]", "min": 1, "type": [{"code": "code"}]},
    {"path": "value[x]", "max": "0"},
)


def test_the_parts_of_an_extension_are_checked() -> None:
    assert faults(extended(extension=[{"url": "kind", "valueCode": "a"}]), COMPLEX) == []
    assert faults(extended(extension=[{"url": "kind", "valueString": "a"}]), COMPLEX) == [
        "error structure Patient.extension[0].extension[0]"
    ]
    assert faults(extended(extension=[]), COMPLEX) == ["error structure Patient.extension[0]"]


def test_a_part_that_is_not_defined_is_an_error() -> None:
    given = extended(extension=[{"url": "kind", "valueCode": "a"}, {"url": "else", "valueString": "a"}])
    found = extension_findings(given, COMPLEX)[0]
    assert (found.severity, found.expression) == ("error", ("Patient.extension[0].extension[1]",))
    assert "'else' is not defined by the Extension" in found.diagnostics


def test_parts_of_unknown_extensions_are_left_alone() -> None:
    given = extended("http://acme.net/x", extension=[{"url": "kind", "valueCode": "a"}])
    run = run_of(given)
    place = Place(Place(Place(None, "Patient"), "extension", 0), "extension", 0)
    check_extension({"url": "kind", "valueCode": "a"}, place, run)
    assert run.findings.issues == []


@pytest.mark.parametrize("severity", ["information", "warning", "error"])
def test_who_validates_says_how_bad_an_unknown_extension_is(severity: str) -> None:
    found = extension_findings(extended("http://acme.net/x", valueString="x"), unknown_extensions=severity)
    assert [issue.severity for issue in found] == [severity]
    assert "http://acme.net/x" in found[0].diagnostics


def test_an_unknown_extension_of_hl7_may_be_a_younger_one() -> None:
    assert faults(extended(CORE + "none-such", valueString="x"), unknown_extensions="error") == [
        "warning not-found Patient.extension[0]"
    ]


def test_extensions_of_other_versions_are_passed_over() -> None:
    url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Device.availabilityStatus"
    assert faults(extended(url, valueBoolean=True), unknown_extensions="error") == [
        "information not-supported Patient.extension[0]"
    ]


def test_modifiers_of_other_versions_belong_in_their_list() -> None:
    url = "http://hl7.org/fhir/1.0/StructureDefinition/extension-Patient.animal"
    assert "error structure Patient.extension[0]" in faults(extended(url, valueString="x"))
    given = patient(modifierExtension=[{"url": url, "valueString": "x"}])
    assert faults(given, modifier=True) == ["information not-supported Patient.modifierExtension[0]"]


def test_a_url_must_be_absolute() -> None:
    assert faults(extended("kind", valueString="x")) == ["error invalid Patient.extension[0]"]


def test_a_url_must_have_no_version() -> None:
    assert "error invalid Patient.extension[0]" in faults(
        extended(EXTENSION + "|1", valueString="x"), simple_extension("string")
    )


def test_those_of_r4_are_known() -> None:
    url = CORE + "patient-birthPlace"
    assert faults(extended(url, valueAddress={"city": "A"})) == []
    assert faults(extended(url, valueString="A")) == ["error structure Patient.extension[0]"]
    given = {"resourceType": "Organization", "extension": [{"url": url, "valueAddress": {"city": "A"}}]}
    assert faults(given) == ["error structure Organization"]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("structuredefinition-fhir-type", "ElementDefinition.type"),
        ("capabilitystatement-expectation", "SearchParameter.multipleOr"),
        ("capabilitystatement-expectation", "CapabilityStatement.rest.security"),
    ],
)
def test_some_of_r4_are_allowed_where_everybody_has_them(url: str, path: str) -> None:
    definition = core_library().find("StructureDefinition", CORE + url)
    assert definition is not None
    type_, *names = path.split(".")
    owner: Place = Spot(None, type_, -1, {}, type_)
    for name in names:
        owner = Spot(owner, name, -1, {}, "Element")
    assert allows(read_contexts(definition.parse()), owner, run_of(patient()))  # type: ignore[arg-type]
    assert not allows(read_contexts(definition.parse()), Spot(None, "Patient", -1, {}, "Patient"), run_of(patient()))


@pytest.mark.parametrize("value", [None, "x", 1, [], {}, {"url": 1}, {"url": None}])
def test_misshapen_extensions_are_passed_over(value: Any) -> None:
    run = run_of(patient())
    check_extension(value, Place(Place(None, "Patient"), "extension", 0), run)
    assert run.findings.issues == []
