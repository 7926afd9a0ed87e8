"""Rules of the resources that define others."""

from typing import Any

import pytest

from tests.unit.validation.resources.told import issues, told

PATIENT = "http://hl7.org/fhir/StructureDefinition/Patient"
EXTENSION = "http://hl7.org/fhir/StructureDefinition/Extension"


def profile(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "StructureDefinition",
        "url": "http://example.org/StructureDefinition/p",
        "name": "P",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": PATIENT,
        "derivation": "constraint",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}, *elements]},
        **more,
    }


def element(path: str, **more: Any) -> dict[str, Any]:
    return {"id": path, "path": path, **more}


ONE = "StructureDefinition.differential.element[1]"


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (profile(element("Patient.gender", min=1)), []),
        (profile(element("Group.type")), [ONE, "StructureDefinition"]),
        (profile(element("Patient.nothing")), ["StructureDefinition"]),
        (profile(element("Patient.birthDate", binding={"strength": "required", "valueSet": "http://x.org/v"})), [ONE]),
        (profile(element("Patient.gender", fixedCode="male")), []),
        (profile(element("Patient.gender", fixedQuantity={"value": 1})), [ONE]),
        (
            profile(element("Patient.name", constraint=[{"key": "x", "expression": "given.("}])),
            [f"{ONE}.constraint[0]"],
        ),
        (
            profile(
                element(
                    "Patient.name", slicing={"discriminator": [{"type": "value", "path": "a = 1"}], "rules": "open"}
                )
            ),
            [f"{ONE}.slicing.discriminator[0]"],
        ),
        (
            profile(
                element("Patient.name", slicing={"discriminator": [{"type": "value", "path": "url"}], "rules": "open"})
            ),
            [f"{ONE}.slicing.discriminator[0]"],
        ),
        (
            profile(
                element("Patient.name", slicing={"discriminator": [{"type": "value", "path": "use"}], "rules": "open"})
            ),
            [],
        ),
        (profile(element("Patient.gender", slicing={"rules": "open"})), [f"{ONE}.slicing"]),
        (profile(element("Patient.deceased[x]", slicing={"rules": "open"})), []),
        (profile(element("Patient.name", type=[{"code": "HumanName", "targetProfile": [PATIENT]}])), [ONE]),
        (profile(element("Patient.birthDate", type=[{"code": "date"}], maxLength=3)), [ONE]),
        (profile(element("Patient.birthDate", type=[{"code": "date"}], maxValueDate="2020-01-01")), []),
        (profile(element("Patient.gender", type=[{"code": "code"}], minValueInteger=1)), [ONE]),
        (profile(context=[{"type": "element", "expression": "Patient"}]), ["StructureDefinition.context[0]"]),
        (profile(type="Group"), ["StructureDefinition"]),
        (profile(kind="logical"), ["StructureDefinition"]),
        (profile(type="Nothing", baseDefinition="http://example.org/none"), ["StructureDefinition.type"]),
    ],
)
def test_a_profile_fits_its_base(made: dict[str, Any], expected: list[str]) -> None:
    found = told(made)
    assert set(expected) <= set(found)
    assert bool(expected) == bool(found)


def test_the_root_of_a_profile_is_not_sliced() -> None:
    sliced = {"id": "Patient", "path": "Patient", "slicing": {"rules": "open"}}
    assert "StructureDefinition.differential.element[0]" in told(profile() | {"differential": {"element": [sliced]}})


@pytest.mark.parametrize(
    ("expression", "severity"),
    [
        ("Patient", ""),
        ("Patient.contact.name", ""),
        ("Observation.value[x]", ""),
        ("http://example.org/x#y", ""),
        ("Element", "warning"),
        ("Patient.nothing", "error"),
        ("Nothing", "error"),
    ],
)
def test_an_extension_is_for_use_on_what_there_is(expression: str, severity: str) -> None:
    url = "http://example.org/StructureDefinition/e"
    base = {"type": "Extension", "kind": "complex-type", "baseDefinition": EXTENSION, "url": url}
    elements = [{"id": "Extension", "path": "Extension"}, element("Extension.url", fixedUri=url)]
    made = profile(**base, context=[{"type": "element", "expression": expression}]) | {
        "differential": {"element": elements}
    }
    assert [one.severity for one in issues(made)] == ([severity] if severity else [])


def test_a_snapshot_says_what_it_must_and_no_more() -> None:
    root = {"id": "Patient", "path": "Patient", "sliceName": "x"}
    at = "StructureDefinition.snapshot.element"
    assert f"{at}[0]" in told(profile(snapshot={"element": [root]}))
    bare = {"element": [{"id": "Patient", "path": "Patient"}, element("Patient.name", min=0)]}
    found = told(profile(snapshot=bare, derivation="specialization", type="http://x.org/Patient"))
    assert f"{at}[1]" in found


def test_an_extension_fixes_its_url() -> None:
    url = "http://example.org/StructureDefinition/e"
    base = {"type": "Extension", "kind": "complex-type", "baseDefinition": EXTENSION, "url": url}
    for fixed, bad in ((url, False), ("http://example.org/other", True)):
        elements = [{"id": "Extension", "path": "Extension"}, element("Extension.url", fixedUri=fixed)]
        assert bool(told(profile(**base) | {"differential": {"element": elements}})) == bad


def test_obligations_are_inherited_from_an_obligation_profile_of_the_same_base() -> None:
    core = "http://hl7.org/fhir/StructureDefinition/"
    flag = {"extension": [{"url": f"{core}obligation-profile-flag", "valueBoolean": True}]}
    good, plain, other = (f"http://example.org/StructureDefinition/{name}" for name in ("good", "plain", "other"))
    known = [profile(url=good, **flag), profile(url=plain), profile(url=other, **flag) | {"baseDefinition": EXTENSION}]
    inherited = [{"url": f"{core}inherit-obligations", "valueCanonical": url} for url in (good, plain, other)]
    assert told(profile(extension=inherited), *known) == [f"StructureDefinition.extension[{i}]" for i in (1, 2)]


def parameter(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "SearchParameter",
        "base": ["Patient"],
        "type": "string",
        "expression": "Patient.name",
        **more,
    }


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, []),
        ({"expression": "Patient.name.("}, ["SearchParameter.expression"]),
        ({"expression": "Patient.name | Group.name"}, ["SearchParameter.expression"]),
        ({"derivedFrom": "http://hl7.org/fhir/SearchParameter/Patient-name"}, []),
        ({"derivedFrom": "http://hl7.org/fhir/SearchParameter/Organization-name"}, ["SearchParameter"]),
        ({"derivedFrom": "http://hl7.org/fhir/SearchParameter/Patient-name", "type": "token"}, ["SearchParameter"]),
        ({"derivedFrom": "http://example.org/none"}, []),
    ],
)
def test_a_search_parameter_fits_its_base(more: dict[str, Any], expected: list[str]) -> None:
    assert told(parameter(**more)) == expected


def test_a_search_parameter_that_a_server_has_is_of_the_type_it_is_defined_with() -> None:
    def made(type_: str) -> dict[str, Any]:
        one = {"name": "name", "definition": "http://hl7.org/fhir/SearchParameter/Patient-name|4.0.1", "type": type_}
        return {
            "resourceType": "CapabilityStatement",
            "rest": [{"resource": [{"type": "Patient", "searchParam": [one]}]}],
        }

    assert told(made("string")) == []
    assert told(made("token")) == ["CapabilityStatement.rest[0].resource[0].searchParam[0]"]


SYSTEM = {
    "resourceType": "CodeSystem",
    "url": "http://example.org/s",
    "content": "complete",
    "property": [{"code": "p", "type": "Coding"}, {"code": "n", "type": "integer"}, {"code": "b", "type": "code"}],
    "concept": [{"code": "a", "concept": [{"code": "b"}]}],
}


def include(**more: Any) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "compose": {"include": [{"system": "http://example.org/s", **more}]}}


def filtered(property_: str, op: str, value: str) -> dict[str, Any]:
    return include(filter=[{"property": property_, "op": op, "value": value}])


INCLUDE = "ValueSet.compose.include[0]"


@pytest.mark.parametrize(
    ("value_set", "expected"),
    [
        (include(concept=[{"code": "a"}, {"code": "z"}]), [f"{INCLUDE}.concept[1]"]),
        (include(system="#local"), [INCLUDE]),
        (include(system="http://example.org/s|1"), []),  # a published guide does so: a warning
        (include(system="http://hl7.org/fhir/ValueSet/administrative-gender"), [INCLUDE]),
        (filtered("concept", "is-a", "a"), []),
        (filtered("concept", "is-a", "z"), [f"{INCLUDE}.filter[0]"]),
        (filtered("code", "regex", "[a-"), [f"{INCLUDE}.filter[0]"]),
        (filtered("n", "=", "x"), [f"{INCLUDE}.filter[0]"]),
        (filtered("n", "in", "1,2"), []),
        (filtered("p", "=", "a"), [f"{INCLUDE}.filter[0]"]),
        (filtered("p", "=", "http://example.org/s#a"), []),
        (filtered("p", "=", "http://example.org/s#z"), [f"{INCLUDE}.filter[0]"]),
        (filtered("n", "exists", "yes"), [f"{INCLUDE}.filter[0]"]),
        (filtered("notSelectable", "=", "1"), [f"{INCLUDE}.filter[0]"]),
    ],
)
def test_a_value_set_includes_what_there_can_be(value_set: dict[str, Any], expected: list[str]) -> None:
    assert told(value_set, SYSTEM) == expected


def test_an_expression_constraint_can_be_parsed() -> None:
    for value, bad in (("< 73211009", False), ("234234 << 234234", True)):
        made = include(system="http://snomed.info/sct", filter=[{"property": "constraint", "op": "=", "value": value}])
        assert bool(told(made)) == bad


def test_a_parameter_of_a_value_set_is_declared_and_used() -> None:
    url = "http://hl7.org/fhir/tools/StructureDefinition/valueset-parameter"
    written = "http://hl7.org/fhir/StructureDefinition/cqf-expression"
    declared = [{"url": url, "extension": [{"url": "name", "valueCode": "p-one"}]}]

    def made(expression: str, language: str = "text/fhirpath") -> dict[str, Any]:
        value = {"url": written, "valueExpression": {"language": language, "expression": expression}}
        return include(filter=[{"property": "x", "op": "=", "_value": {"extension": [value]}}]) | {
            "extension": declared
        }

    at = f"{INCLUDE}.filter[0].extension[0].value.ofType(Expression)"
    assert told(made("%p-one")) == []
    assert told(made("%p-two")) == [at]
    assert told(made("%p-one", "text/cql")) == [at]
    assert told(made("1"), severity="warning") == ["ValueSet.extension[0]"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, []),
        ({"count": 2}, []),
        ({"count": 3}, ["CodeSystem.count"]),
        (
            {"concept": [{"code": "a", "property": [{"code": "n", "valueString": "x"}]}]},
            ["CodeSystem.concept[0].property[0]"],
        ),
        ({"concept": [{"code": "a", "property": [{"code": "b", "valueCode": "a"}]}]}, []),
        ({"content": "not-present"}, ["CodeSystem.concept[0]"]),
        ({"content": "supplement"}, ["CodeSystem.content"]),
        (
            {
                "content": "supplement",
                "supplements": "http://hl7.org/fhir/administrative-gender",
                "caseSensitive": True,
            },
            ["CodeSystem.caseSensitive", "CodeSystem.concept[0]", "CodeSystem.concept[0].concept[0]"],
        ),
    ],
)
def test_a_code_system_is_consistent(more: dict[str, Any], expected: list[str]) -> None:
    assert told({**SYSTEM, **more}) == expected


def test_a_property_that_names_no_concept_is_a_warning() -> None:
    for name, count in (("z", 1), ("a", 0)):
        concept = {"code": "a", "property": [{"code": "b", "valueCode": name}]}
        assert len(told({**SYSTEM, "concept": [concept]}, severity="warning")) == count


def test_the_list_of_a_value_set_is_no_proof_for_a_system_that_is_not_loaded() -> None:
    url = "http://example.org/v"
    scope = {
        "resourceType": "ValueSet",
        "url": url,
        "compose": {"include": [{"system": "urn:x:y", "concept": [{"code": "a"}]}]},
    }
    group = {"source": "urn:x:y", "target": "http://example.org/s", "element": [{"code": "b"}]}
    made = {"resourceType": "ConceptMap", "sourceCanonical": url, "group": [group]}
    assert told(made, scope) == []
    assert told(made, scope, severity="warning") == ["ConceptMap.group[0].element[0].code"]


def test_the_value_set_of_a_code_system_has_all_its_codes() -> None:
    url = "http://example.org/v"
    system = {**SYSTEM, "valueSet": url}
    assert told(system, {**include(), "url": url}) == []
    assert told(system, {**include(concept=[{"code": "a"}]), "url": url}) == ["CodeSystem.valueSet"]


def rule(key: str, expression: str) -> dict[str, Any]:
    return {"key": key, "severity": "error", "human": "x", "expression": expression}


def profiled(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = [{"id": "Patient", "path": "Patient"}, *({"path": one["id"].partition(":")[0], **one} for one in elements)]
    return {
        "resourceType": "StructureDefinition", "url": "http://x.org/p", "kind": "resource", "type": "Patient",
        "baseDefinition": f"{R4}Patient", "derivation": "constraint", "differential": {"element": made}, **more,
    }  # fmt: skip


R4 = "http://hl7.org/fhir/StructureDefinition/"
LINK = "Patient.managingOrganization"
NARROWING = {
    "order": ([{"id": "Patient.name"}, {"id": "Patient.birthDate"}], True),
    "out of order": ([{"id": "Patient.birthDate"}, {"id": "Patient.name"}], False),
    "a slice of what is not sliced": ([{"id": "Patient.name:a", "sliceName": "a"}], False),
    "a slice of extensions": ([{"id": "Patient.extension:a", "sliceName": "a"}], True),
    "a rule twice": ([{"id": "Patient.name", "constraint": [rule("x-1", "true"), rule("x-1", "true")]}], True),
    "two rules of one key": ([{"id": "Patient.name", "constraint": [rule("x-1", "true"), rule("x-1", "id")]}], False),
    "the key of a rule of the base": ([{"id": "Patient.name", "constraint": [rule("pat-1", "true")]}], False),
    "a looser binding": ([{"id": "Patient.gender", "binding": {"strength": "example"}}], False),
    "a profile on another type": (
        [{"id": "Patient.name", "type": [{"code": "HumanName", "profile": [f"{R4}Address"]}]}], False
    ),
    "another target": ([{"id": LINK, "type": [{"code": "Reference", "targetProfile": [f"{R4}Patient"]}]}], False),
    "the target": ([{"id": LINK, "type": [{"code": "Reference", "targetProfile": [f"{R4}Organization"]}]}], True),
}  # fmt: skip


@pytest.mark.parametrize(("elements", "good"), NARROWING.values(), ids=NARROWING)
def test_a_differential_narrows_its_base(elements: list[dict[str, Any]], good: bool) -> None:
    assert (told(profiled(*elements)) == []) is good


def test_a_specialization_has_a_type_of_its_own() -> None:
    assert "StructureDefinition" in told(profiled(derivation="specialization"))


HL7 = "http://hl7.org/fhir/concept-properties#"


@pytest.mark.parametrize(
    ("properties", "bad"),
    [
        ([{"code": "status", "uri": f"{HL7}status", "type": "code"}, {"code": "x", "type": "string"}], False),
        ([{"code": "x", "uri": "urn:x:y", "type": "code"}, {"code": "x", "type": "code"}], True),
        ([{"code": "x", "uri": "urn:x:y", "type": "code"}, {"code": "z", "uri": "urn:x:y", "type": "code"}], True),
        ([{"code": "x", "uri": "x", "type": "code"}], True),
        ([{"code": "status", "uri": f"{HL7}status", "type": "dateTime"}], True),
        ([{"code": "parent", "uri": f"{HL7}child", "type": "code"}], True),
        ([{"code": "mine", "uri": f"{HL7}child", "type": "code"}], False),
    ],
)
def test_the_properties_of_a_code_system_are_declared_once_and_as_fhir_has_them(properties: Any, bad: bool) -> None:
    assert [at.rpartition("[")[0] for at in told({**SYSTEM, "property": properties})] == ["CodeSystem.property"] * bad


def test_a_composite_search_parameter_has_components() -> None:
    parameter = {"resourceType": "SearchParameter", "type": "composite", "base": ["Patient"]}
    assert told({**parameter, "component": [{"definition": "urn:x:y"}]}) == ["SearchParameter"]
    assert told({**parameter, "component": [{"definition": "urn:x:y"}] * 2}) == []


@pytest.mark.parametrize(
    ("dependency", "bad"),
    [
        ({"uri": "http://x.org/ImplementationGuide/a", "packageId": "a.b", "version": "1.0"}, False),
        ({"uri": "http://x.org/ImplementationGuide/a|1.0", "version": "1.0"}, False),
        ({"uri": "http://x.org/ImplementationGuide/a|1.0", "version": "2.0"}, True),
        ({"uri": "http://x.org/ImplementationGuide/a|"}, True),
        ({"uri": "http://x.org/a"}, True),
        ({"uri": "http://x.org/ImplementationGuide/a", "packageId": "a/b"}, True),
    ],
)
def test_a_guide_names_what_it_depends_on_by_url_version_and_package(dependency: Any, bad: bool) -> None:
    guide = {"resourceType": "ImplementationGuide", "dependsOn": [dependency]}
    assert told(guide) == ["ImplementationGuide.dependsOn[0]"] * bad


def test_a_concept_map_maps_codes_that_there_are() -> None:
    def made(source: str, target: str, **more: Any) -> dict[str, Any]:
        group = {"source": "http://example.org/s", "target": "http://hl7.org/fhir/administrative-gender"}
        elements = [{"code": source, "target": [{"code": target, "equivalence": "equal"}]}]
        return {"resourceType": "ConceptMap", "group": [{**group, "element": elements}], **more}

    at = "ConceptMap.group[0].element[0]"
    assert told(made("a", "male"), SYSTEM) == []
    assert told(made("z", "mail"), SYSTEM) == [f"{at}.code", f"{at}.target[0].code"]
    scope = "http://hl7.org/fhir/ValueSet/marital-status"
    assert told(made("a", "male", targetUri=scope), SYSTEM) == [f"{at}.target[0].code"]
    assert told(made("a", "male", sourceUri="http://example.org/s"), SYSTEM) == ["ConceptMap.source"]


@pytest.mark.parametrize(
    ("conditions", "severity"),
    [
        ([{"question": "1", "operator": "exists", "answerBoolean": True}], ""),
        ([{"question": "3", "operator": "exists", "answerBoolean": True}], "warning"),
        ([{"question": "9", "operator": "exists", "answerBoolean": True}], "error"),
        ([{"question": "2", "operator": "exists", "answerBoolean": True}], "error"),
        ([{"question": "2.1", "operator": "exists", "answerBoolean": True}], "error"),
    ],
)
def test_a_question_depends_on_another(conditions: Any, severity: str) -> None:
    second = {"linkId": "2", "type": "group", "enableWhen": conditions, "item": [{"linkId": "2.1", "type": "string"}]}
    items = [{"linkId": "1", "type": "boolean"}, second, {"linkId": "3", "type": "boolean"}]
    found = issues({"resourceType": "Questionnaire", "item": items})
    assert [(one.severity, one.expression[0]) for one in found] == (
        [(severity, "Questionnaire.item[1]")] if severity else []
    )


def test_an_initial_value_has_the_type_of_its_question() -> None:
    item = {"linkId": "1", "type": "boolean", "initial": [{"valueString": "x"}]}
    assert told({"resourceType": "Questionnaire", "item": [item]}) == [
        "Questionnaire.item[0].initial[0].value.ofType(string)"
    ]


def test_an_implementation_guide_asks_for_a_profile_of_all_resources_of_a_type() -> None:
    made = profile(element("Patient.gender", min=1))
    guide = {
        "resourceType": "ImplementationGuide",
        "url": "http://example.org/g",
        "global": [{"type": "Patient", "profile": made["url"]}],
    }
    assert len(told({"resourceType": "Patient"}, made, guide)) == 1
    assert told({"resourceType": "Patient", "gender": "male"}, made, guide) == []


@pytest.mark.parametrize("broken", [None, 1, "x", [], [None], [1], [{}], {}, [{"a": [1]}]])
@pytest.mark.parametrize(
    ("type_", "names"),
    [
        ("StructureDefinition", ("differential", "snapshot", "type", "url", "baseDefinition")),
        ("ValueSet", ("compose", "extension")),
        ("CodeSystem", ("concept", "property", "supplements", "valueSet")),
        ("ConceptMap", ("group", "sourceUri")),
        ("SearchParameter", ("expression", "base", "derivedFrom")),
        ("Questionnaire", ("item", "derivedFrom")),
        ("MeasureReport", ("group", "measure")),
        ("Measure", ("group", "library")),
        ("CapabilityStatement", ("rest",)),
    ],
)
def test_misshapen_resources_are_not_the_end(type_: str, names: tuple[str, ...], broken: Any) -> None:
    for name in names:
        issues({"resourceType": type_, name: broken})
        issues({"resourceType": type_, name: {"include": broken, "element": broken}})
