"""The tables hold the numbers and facts that the R4 specification states."""

import re
from collections import Counter

import pytest

from fhir_server.definitions import Definitions, load

DEFINITIONS = load()


def test_there_are_145_resource_types_with_an_endpoint() -> None:
    types = DEFINITIONS.resource_types
    assert len(types) == len(set(types)) == 145
    assert not {"Parameters", "DomainResource", "Resource"} & set(types)
    assert list(types) == sorted(types)


def test_every_resource_type_is_a_concrete_resource() -> None:
    for name in DEFINITIONS.resource_types:
        definition = DEFINITIONS.types[name]
        assert (definition.kind, definition.abstract) == ("resource", False)


def test_types_are_148_resources_41_complex_and_20_primitive() -> None:
    kinds = Counter(DEFINITIONS.types[key].kind for key in DEFINITIONS.types)
    assert (kinds["resource"], kinds["complex-type"], kinds["primitive-type"]) == (148, 41, 20)
    assert {key for key in DEFINITIONS.types if DEFINITIONS.types[key].abstract} == {
        "BackboneElement",
        "DomainResource",
        "Element",
        "Resource",
    }


def test_every_type_that_is_named_exists() -> None:
    for key in DEFINITIONS.types:
        definition = DEFINITIONS.types[key]
        assert definition.base is None or definition.base in DEFINITIONS.types
        for element in definition.elements:
            for type_ in element.types:
                assert type_.code in DEFINITIONS.types, element.path
                assert all(target in DEFINITIONS.types for target in type_.targets), element.path
            assert element.type_key is None or element.type_key in DEFINITIONS.types, element.path
            assert bool(element.types) != bool(element.content), element.path


def test_every_nested_definition_is_reached_by_an_element() -> None:
    nested = {key for key in DEFINITIONS.types if "." in key}
    reached = {e.type_key for key in DEFINITIONS.types for e in DEFINITIONS.types[key].elements}
    assert nested == reached - {None}


def test_elements_sum_up_to_the_snapshots() -> None:
    """7,675 elements stand in the snapshots: less the 209 roots, and the `value` of 20 primitives."""
    elements = sum(len(DEFINITIONS.types[key].elements) for key in DEFINITIONS.types)
    assert elements + 209 + 20 == 7675


def test_resource_elements_begin_with_the_inherited_ones_in_order() -> None:
    names = [element.name for element in DEFINITIONS.types["Patient"].elements]
    assert names[:8] == [
        "id",
        "meta",
        "implicitRules",
        "language",
        "text",
        "contained",
        "extension",
        "modifierExtension",
    ]
    assert names[8:12] == ["identifier", "active", "name", "telecom"]
    assert [e.name for e in DEFINITIONS.types["Patient.contact"].elements][:4] == [
        "id",
        "extension",
        "modifierExtension",
        "relationship",
    ]
    assert DEFINITIONS.types["Age"].by_name["value"].path == "Age.value"


@pytest.mark.parametrize(
    ("path", "cardinality"),
    [
        ("Patient.id", (0, 1)),
        ("Patient.name", (0, None)),
        ("Patient.deceased[x]", (0, 1)),
        ("Patient.communication.language", (1, 1)),
        ("Patient.link.other", (1, 1)),
        ("Observation.status", (1, 1)),
        ("Observation.component", (0, None)),
        ("Bundle.type", (1, 1)),
        ("Bundle.entry.request.method", (1, 1)),
        ("Claim.insurance", (1, None)),
        ("SampledData.origin", (1, 1)),
        ("Extension.url", (1, 1)),
        ("xhtml.extension", (0, 0)),
        ("Coverage.payor", (1, None)),
    ],
)
def test_cardinality(path: str, cardinality: tuple[int, int | None]) -> None:
    element = DEFINITIONS.element(path)
    assert element is not None
    assert (element.min, element.max) == cardinality


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("Patient.id", "id"),
        ("Resource.id", "id"),
        ("Bundle.id", "id"),
        ("HumanName.id", "string"),
        ("Patient.contact.id", "string"),
        ("Extension.url", "uri"),
        ("Narrative.div", "xhtml"),
        ("Patient.birthDate", "date"),
        ("Bundle.entry.resource", "Resource"),
        ("Quantity.value", "decimal"),
    ],
)
def test_system_types_are_mapped_to_fhir_types(path: str, code: str) -> None:
    element = DEFINITIONS.element(path)
    assert element is not None
    assert [t.code for t in element.types] == [code]


def test_no_type_is_named_by_a_url() -> None:
    for key in DEFINITIONS.types:
        for element in DEFINITIONS.types[key].elements:
            assert not any("/" in t.code for t in element.types)


def test_choice_appears_under_every_concrete_name() -> None:
    by_name = DEFINITIONS.types["Observation"].by_name
    found = {name for name, element in by_name.items() if element.name == "value"}
    assert found == {
        "valueQuantity",
        "valueCodeableConcept",
        "valueString",
        "valueBoolean",
        "valueInteger",
        "valueRange",
        "valueRatio",
        "valueSampledData",
        "valueTime",
        "valueDateTime",
        "valuePeriod",
    }
    assert "value" not in by_name
    assert sum(name.startswith("value") for name in DEFINITIONS.types["Extension"].by_name) == 50
    assert by_name["valueQuantity"] is by_name["valueString"]


def test_json_name_of_a_choice_tells_its_type() -> None:
    names = DEFINITIONS.types["Extension"].by_name["valueBase64Binary"].json_names
    type_ = names["valueBase64Binary"]
    assert type_ is not None
    assert type_.code == "base64Binary"


def test_content_reference_leads_to_the_definition_it_names() -> None:
    element = DEFINITIONS.element("Bundle.entry.link")
    assert element is not None
    assert (element.content, element.type_key, element.types) == ("Bundle.link", "Bundle.link", ())
    contents = [e for key in DEFINITIONS.types for e in DEFINITIONS.types[key].elements if e.content]
    assert len(contents) == 55


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("Patient.contact.name.family", "HumanName.family"),
        ("Bundle.entry.link.url", "Bundle.link.url"),
        ("Observation.value[x]", "Observation.value[x]"),
        ("Observation.value", "Observation.value[x]"),
        ("Observation.valueQuantity.unit", "Quantity.unit"),
        ("Questionnaire.item.item.item.linkId", "Questionnaire.item.linkId"),
        ("Patient.contact", "Patient.contact"),
    ],
)
def test_element_follows_types_and_content(path: str, found: str) -> None:
    element = DEFINITIONS.element(path)
    assert element is not None
    assert element.path == found


@pytest.mark.parametrize(
    "path", ["Patient", "Patient.nope", "Nope.name", "Patient.name.nope", "Observation.value.unit", "", "."]
)
def test_element_that_is_not_there_is_none(path: str) -> None:
    assert DEFINITIONS.element(path) is None


def test_modifiers_summaries_and_bindings_are_kept() -> None:
    types = DEFINITIONS.types["Observation"].by_name
    assert types["status"].modifier and types["status"].summary
    assert types["status"].binding is not None
    assert types["status"].binding.strength == "required"
    assert types["status"].binding.value_set == "http://hl7.org/fhir/ValueSet/observation-status"
    assert DEFINITIONS.types["Patient"].by_name["modifierExtension"].modifier
    assert not types["note"].summary


def test_reference_targets() -> None:
    subject = DEFINITIONS.types["Observation"].by_name["subject"].types[0]
    assert subject.targets == ("Patient", "Group", "Device", "Location")
    focus = DEFINITIONS.types["Observation"].by_name["focus"].types[0]
    assert focus.targets == ()


def test_attributes_of_xml() -> None:
    attributes = {e.path for key in DEFINITIONS.types for e in DEFINITIONS.types[key].elements if e.xml_attribute}
    assert "Extension.url" in attributes
    assert all(path.endswith(".id") for path in attributes - {"Extension.url"})
    assert not {f"{name}.id" for name in DEFINITIONS.resource_types} & attributes


def test_primitives_carry_their_regex() -> None:
    primitives = [DEFINITIONS.types[k] for k in DEFINITIONS.types if DEFINITIONS.types[k].kind == "primitive-type"]
    assert {p.name for p in primitives if p.regex is None} == {"xhtml"}
    for primitive in primitives:
        re.compile(primitive.regex or "")
    assert re.fullmatch(DEFINITIONS.types["id"].regex or "", "a-1.B")
    assert not re.fullmatch(DEFINITIONS.types["id"].regex or "", "a" * 65)
    assert DEFINITIONS.types["code"].base == "string"


def test_invariants_are_237_keys_of_which_one_means_three_rules() -> None:
    keys = Counter(rule.key for rule in DEFINITIONS.invariants.values())
    assert len(keys) == 237
    assert {key: n for key, n in keys.items() if n > 1} == {"inv-1": 3}
    assert DEFINITIONS.invariants["inv-1@Task"].paths == ("Task",)
    assert DEFINITIONS.invariants["pat-1"].paths == ("Patient.contact",)
    assert DEFINITIONS.invariants["pat-1"].severity == "error"


def test_constraints_name_invariants_and_invariants_name_their_places() -> None:
    placed: dict[str, set[str]] = {}
    for key in DEFINITIONS.types:
        for constraint in DEFINITIONS.types[key].constraints:
            placed.setdefault(constraint, set()).add(key)
        for element in DEFINITIONS.types[key].elements:
            for constraint in element.constraints:
                placed.setdefault(constraint, set()).add(element.path)
    assert placed.keys() == DEFINITIONS.invariants.keys()
    for unique, rule in DEFINITIONS.invariants.items():
        assert rule.paths, unique
        assert set(rule.paths) <= placed[unique]


def test_domain_rules_hold_for_every_domain_resource() -> None:
    assert {"dom-2", "dom-3", "dom-4", "dom-5", "dom-6"} <= set(DEFINITIONS.types["Patient"].constraints)
    assert "dom-2" not in DEFINITIONS.types["Bundle"].constraints
    assert {"bdl-1", "bdl-7"} <= set(DEFINITIONS.types["Bundle"].constraints)


def test_required_bindings_are_224_of_which_220_can_be_listed() -> None:
    required = {
        e.binding.value_set
        for key in DEFINITIONS.types
        for e in DEFINITIONS.types[key].elements
        if e.binding and e.binding.strength == "required"
    }
    assert len(required) == 224
    listed = {url for url in required if url in DEFINITIONS.required_codes}
    assert len(listed) == 220
    assert {url.rpartition("/")[2] for url in required - listed} == {
        "currencies",
        "mimetypes",
        "ucum-units",
        "LL379-9",
    }


def test_codes_and_their_systems() -> None:
    genders = DEFINITIONS.required_codes["http://hl7.org/fhir/ValueSet/administrative-gender"]
    assert genders == dict.fromkeys(["male", "female", "other", "unknown"], "http://hl7.org/fhir/administrative-gender")
    nested = DEFINITIONS.required_codes["http://hl7.org/fhir/ValueSet/issue-type"]
    assert {"invalid", "structure", "not-found", "multiple-matches"} <= nested.keys()


def test_system_of_a_code() -> None:
    code_system = DEFINITIONS.code_system
    gender = "http://hl7.org/fhir/ValueSet/administrative-gender"
    assert code_system(gender, "male") == "http://hl7.org/fhir/administrative-gender"
    assert code_system("http://hl7.org/fhir/ValueSet/mimetypes", "text/plain") == "urn:ietf:bcp:13"
    assert code_system("http://hl7.org/fhir/ValueSet/languages", "de-AT") == "urn:ietf:bcp:47"
    assert code_system("http://example.org/unknown", "x") is None


def test_bound_code_elements_have_a_system() -> None:
    """Token search on an element of type `code` needs the system; 26 (`Coding.code` ...) have no binding."""
    unbound = set()
    for key in DEFINITIONS.types:
        for element in DEFINITIONS.types[key].elements:
            if [t.code for t in element.types] != ["code"]:
                continue
            if element.binding is None:
                unbound.add(element.path)
                continue
            url = element.binding.value_set
            assert url in DEFINITIONS.required_codes or url in DEFINITIONS.code_systems, element.path
    assert len(unbound) == 26
    assert {"Coding.code", "Quantity.code", "ValueSet.compose.include.concept.code"} <= unbound


def test_search_parameters_are_1375_with_unique_urls() -> None:
    parameters = DEFINITIONS.search_parameters
    assert len(parameters) == len({p.url for p in parameters}) == 1375
    assert {p.code for p in parameters if p.expression is None} == {"_query", "_content", "_text"}
    assert all(p.base for p in parameters)


def test_one_type_has_no_two_search_parameters_of_one_code() -> None:
    pairs = Counter((base, p.code) for p in DEFINITIONS.search_parameters for base in p.base)
    assert [pair for pair, count in pairs.items() if count > 1] == []


def test_search_parameter_types() -> None:
    counts = Counter(p.type for p in DEFINITIONS.search_parameters)
    assert counts["composite"] == 46
    assert counts["special"] == 1
    assert sum(counts.values()) == 1375
    near = next(p for p in DEFINITIONS.search_parameters if p.type == "special")
    assert (near.base, near.code, near.expression) == (("Location",), "near", "Location.position")


def test_composites_name_parameters_that_exist() -> None:
    urls = {p.url: p for p in DEFINITIONS.search_parameters}
    for parameter in DEFINITIONS.search_parameters:
        assert bool(parameter.components) == (parameter.type == "composite"), parameter.url
        for url, expression in parameter.components:
            assert url in urls, parameter.url
            assert expression


def test_reference_parameters_name_types_that_exist() -> None:
    known = {*DEFINITIONS.resource_types, "Parameters", "Resource", "DomainResource"}
    for parameter in DEFINITIONS.search_parameters:
        assert set(parameter.base) <= known, parameter.url
        assert set(parameter.targets) <= known, parameter.url
    patient = next(p for p in DEFINITIONS.search_parameters if p.url.endswith("/Observation-subject"))
    assert set(patient.targets) == {"Patient", "Group", "Device", "Location"}


def test_compartments() -> None:
    compartments = DEFINITIONS.compartments
    assert set(compartments) == {"Patient", "Encounter", "RelatedPerson", "Practitioner", "Device"}
    assert compartments["Patient"]["Observation"] == ("subject", "performer")
    assert compartments["Patient"]["Patient"] == ("_id", "link")
    assert compartments["Encounter"]["Encounter"] == ("_id",)
    assert "Task" not in compartments["Patient"]


def test_compartments_name_search_parameters_that_exist() -> None:
    for types in DEFINITIONS.compartments.values():
        for name, codes in types.items():
            assert name in DEFINITIONS.resource_types
            for code in codes:
                bases = {base for p in DEFINITIONS.search_parameters if p.code == code for base in p.base}
                assert name in bases or "Resource" in bases, (name, code)


def test_operations_are_46() -> None:
    operations = DEFINITIONS.operations
    assert len(operations) == 46
    everything = operations["Patient-everything"]
    assert (everything.code, everything.system, everything.type_level, everything.instance) == (
        "everything",
        False,
        True,
        True,
    )
    assert everything.resources == ("Patient",)
    start = everything.parameters[0]
    assert (start.name, start.use, start.min, start.max, start.type) == ("start", "in", 0, 1, "date")


def test_operation_parameters_nest() -> None:
    match = next(p for p in DEFINITIONS.operations["CodeSystem-find-matches"].parameters if p.name == "match")
    assert match.max is None
    assert [p.name for p in match.parts] == ["code", "unmatched", "comment"]
    assert match.parts[1].parts


def test_operation_is_found_by_code_and_type() -> None:
    patient = DEFINITIONS.operation("everything", "Patient")
    assert patient is not None
    assert patient.url == "http://hl7.org/fhir/OperationDefinition/Patient-everything"
    encounter = DEFINITIONS.operation("everything", "Encounter")
    assert encounter is not None
    assert encounter.resources == ("Encounter",)
    assert DEFINITIONS.operation("everything", "Observation") is None
    assert DEFINITIONS.operation("everything") is None
    assert DEFINITIONS.operation("validate") is None
    assert DEFINITIONS.operation("validate", "Observation") is DEFINITIONS.operations["Resource-validate"]
    assert DEFINITIONS.operation("convert") is DEFINITIONS.operations["Resource-convert"]


def test_definitions_are_one_value_for_the_process() -> None:
    assert load() is DEFINITIONS
    assert isinstance(DEFINITIONS, Definitions)


def test_definitions_and_types_can_be_keys_of_a_cache() -> None:
    assert len({DEFINITIONS, DEFINITIONS.with_types([])}) == 2
    assert len({DEFINITIONS.types["Patient"], DEFINITIONS.types["Observation"]}) == 2
