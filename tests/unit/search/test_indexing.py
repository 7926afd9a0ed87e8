"""Index rows by kind of parameter and type of element. Spec: https://hl7.org/fhir/R4/search.html#ptypes"""

from decimal import Decimal
from math import inf
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhir_server.search.dates import EARLIEST, LATEST, date_bounds
from fhir_server.search.entries import IndexEntries
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry

STANDARD = ParameterRegistry.standard()
EXTRACTOR = Extractor(STANDARD)
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"


def extract(type_: str, **elements: Any) -> IndexEntries:
    return EXTRACTOR.extract(type_, {"resourceType": type_, **elements})


def tokens(entries: IndexEntries, code: str) -> list[tuple[str | None, str]]:
    return [(system, value) for param, system, value in entries.tokens if param == code]


def strings(entries: IndexEntries, code: str) -> list[str]:
    return [folded for param, folded, _ in entries.strings if param == code]


def dates(entries: IndexEntries, code: str) -> list[tuple[int, int]]:
    return [(low, high) for param, low, high in entries.dates if param == code]


def references(entries: IndexEntries, code: str) -> list[tuple[str | None, ...]]:
    return [tuple(row) for param, *row in entries.references if param == code]


def custom(expression: str, kind: str = "token", base: str = "Patient") -> Extractor:
    definition = {
        "url": "http://example.org/x",
        "status": "active",
        "code": "x",
        "base": [base],
        "type": kind,
        "expression": expression,
    }
    return Extractor(STANDARD.with_custom([definition]))


# --- what has no rows


def test_the_columns_of_the_log_and_the_texts_have_no_rows() -> None:
    entries = extract("Patient", id="1", meta={"lastUpdated": "2013-01-01T00:00:00Z"}, text={"div": "<div>x</div>"})
    assert entries.present() == {"deceased"}


def test_an_empty_resource_has_no_rows_for_any_type() -> None:
    for type_ in STANDARD.types:
        rows = extract(type_)
        assert rows == (IndexEntries(tokens=[("deceased", None, "false")]) if type_ == "Patient" else IndexEntries())


# --- tokens


def test_every_coding_of_a_concept_is_a_token() -> None:
    code = {"coding": [{"system": LOINC, "code": "8480-6"}, {"code": "local"}], "text": "Systolic"}
    assert tokens(extract("Observation", code=code), "code") == [(LOINC, "8480-6"), (None, "local")]


def test_a_concept_with_text_alone_is_there_but_no_code_finds_it() -> None:
    entries = extract("Observation", code={"text": "Systolic"})
    assert tokens(entries, "code") == [(None, "")]
    assert "code" in entries.present()


def test_a_system_without_a_code_is_found_by_the_system() -> None:
    assert tokens(extract("Observation", code={"coding": [{"system": LOINC}]}), "code") == [(LOINC, "")]


def test_a_code_has_the_system_of_its_required_binding() -> None:
    assert tokens(extract("Patient", gender="male"), "gender") == [
        ("http://hl7.org/fhir/administrative-gender", "male")
    ]


def test_an_identifier_is_a_token_and_its_type_is_searched_by_of_type() -> None:
    mr = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}], "text": "Record No."}
    entries = extract("Patient", identifier=[{"system": "urn:x", "value": "12", "type": mr}, {"value": "13"}])
    assert tokens(entries, "identifier") == [("urn:x", "12"), (None, "13")]
    assert tokens(entries, "identifier:of-type") == [("http://terminology.hl7.org/CodeSystem/v2-0203|MR", "12")]
    assert strings(entries, "identifier:text") == ["record no"]


def test_a_contact_point_is_a_token_without_a_system() -> None:
    telecom = [
        {"system": "phone", "value": "555", "use": "home"},
        {"system": "email", "value": "a@b.org"},
        {"system": "fax"},
    ]
    entries = extract("Patient", telecom=telecom)
    assert tokens(entries, "telecom") == [(None, "555"), (None, "a@b.org")]
    assert tokens(entries, "phone") == [(None, "555")]
    assert tokens(entries, "email") == [(None, "a@b.org")]


def test_a_boolean_is_a_token() -> None:
    assert tokens(extract("Patient", active=True), "active") == [(None, "true")]
    assert tokens(extract("Patient", active=False), "active") == [(None, "false")]


@pytest.mark.parametrize(
    ("elements", "answer"),
    [
        ({}, "false"),
        ({"deceasedBoolean": False}, "false"),
        ({"deceasedBoolean": True}, "true"),
        ({"deceasedDateTime": "2013"}, "true"),
    ],
)
def test_deceased_is_computed_from_either_form(elements: dict[str, Any], answer: str) -> None:
    assert tokens(extract("Patient", **elements), "deceased") == [(None, answer)]


def test_tags_and_security_labels_are_tokens() -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    entries = extract("Patient", meta={"security": [label], "tag": [{"code": "x"}]})
    assert tokens(entries, "_security") == [(label["system"], "R")]
    assert tokens(entries, "_tag") == [(None, "x")]


def test_nulls_in_arrays_of_primitives_are_passed_over() -> None:
    entries = extract("Patient", name=[{"given": [None, "Eve"], "_given": [{"extension": []}, None]}])
    assert strings(entries, "given") == ["eve"]


def test_a_token_on_a_string_is_also_there_without_its_case() -> None:
    assert tokens(extract("ValueSet", version="RC1"), "version") == [(None, "RC1"), (None, "rc1")]
    version, code = STANDARD.get("ValueSet", "version"), STANDARD.get("Observation", "code")
    assert version is not None
    assert version.ignores_case
    assert code is not None
    assert not code.ignores_case


# --- what :text searches


def test_text_and_displays_are_what_text_searches_once_where_they_are_the_same() -> None:
    code = {
        "coding": [{"code": "a", "display": "Body Weight"}, {"code": "b", "display": "Weight"}],
        "text": "Body Weight",
    }
    entries = extract("Observation", code=code, subject={"reference": "Patient/1", "display": "Éva"})
    assert strings(entries, "code:text") == ["body weight", "weight"]
    assert strings(entries, "subject:text") == ["eva"]
    assert strings(entries, "patient:text") == ["eva"]


def test_texts_can_be_left_out_and_asked_for_alone() -> None:
    resource = {"resourceType": "Observation", "code": {"text": "Weight"}}
    assert Extractor(STANDARD, texts=False).extract("Observation", resource).strings == []
    assert ("code", "weight") in EXTRACTOR.texts("Observation", resource)


# --- strings


def test_every_part_of_a_name_is_a_string_of_its_own() -> None:
    name = {"text": "Dr. Éva Nagy", "family": "Nagy", "given": ["Éva", "Mária"], "prefix": ["Dr."], "suffix": ["PhD"]}
    entries = extract("Patient", name=[name])
    assert sorted(strings(entries, "name")) == ["dr", "dr eva nagy", "eva", "maria", "nagy", "phd"]
    assert strings(entries, "family") == ["nagy"]
    assert ("given", "maria", "Mária") in entries.strings


def test_the_parts_of_a_family_name_are_found_independently() -> None:
    entries = extract("Patient", name=[{"family": "Carreno Quinones"}])
    assert strings(entries, "family") == ["carreno quinones", "quinones"]
    assert strings(entries, "name") == ["carreno quinones", "quinones"]
    assert {original for _, _, original in entries.strings} == {"Carreno Quinones"}


def test_every_part_of_an_address_is_a_string_of_its_own() -> None:
    address = {
        "text": "all", "line": ["1 High St.", "Flat 2"], "city": "Ann Arbor", "district": "d", "state": "MI",
        "postalCode": "48103", "country": "US", "use": "home",
    }  # fmt: skip
    entries = extract("Patient", address=[address])
    assert sorted(strings(entries, "address")) == ["1 high st", "48103", "all", "ann arbor", "d", "flat 2", "mi", "us"]
    assert strings(entries, "address-city") == ["ann arbor"]
    assert tokens(entries, "address-use") == [("http://hl7.org/fhir/address-use", "home")]


def test_blank_strings_are_nothing() -> None:
    assert extract("Organization", name="   ").strings == []


# --- dates


def test_dates_of_every_type_are_intervals() -> None:
    assert dates(extract("Patient", birthDate="1974-12"), "birthdate") == [date_bounds("1974-12")]
    assert dates(extract("Observation", effectiveDateTime="2013-01-14T10:00:00+02:00"), "date") == [
        date_bounds("2013-01-14T08:00:00Z")
    ]
    assert dates(extract("Observation", effectiveInstant="2013-01-14T10:00:00.5Z"), "date") == [
        (half := date_bounds("2013-01-14T10:00:00.5Z")[0], half + 1)
    ]


def test_a_period_is_open_where_an_end_is_missing() -> None:
    start, end = date_bounds("2013-01-14"), date_bounds("2013-02")
    period = {"start": "2013-01-14", "end": "2013-02"}
    assert dates(extract("Encounter", period=period), "date") == [(start[0], end[1])]
    assert dates(extract("Encounter", period={"start": "2013-01-14"}), "date") == [(start[0], LATEST)]
    assert dates(extract("Encounter", period={"end": "2013-02"}), "date") == [(EARLIEST, end[1])]
    assert dates(extract("Encounter", period={}), "date") == []


def test_a_timing_counts_by_its_outer_limits() -> None:
    events = {"event": ["2013-03-24", "2013-01-31", None]}
    assert dates(extract("Observation", effectiveTiming=events), "date") == [
        (date_bounds("2013-01-31")[0], date_bounds("2013-03-24")[1])
    ]
    bounds = {"event": ["2013-02-01"], "repeat": {"boundsPeriod": {"start": "2013-01-31"}}}
    assert dates(extract("Observation", effectiveTiming=bounds), "date") == [(date_bounds("2013-01-31")[0], LATEST)]
    assert dates(extract("Observation", effectiveTiming={"repeat": {"frequency": 1}}), "date") == []


def test_dates_without_a_zone_are_in_the_default_zone() -> None:
    zone = ZoneInfo("America/New_York")
    entries = Extractor(STANDARD, zone=zone).extract("Patient", {"resourceType": "Patient", "birthDate": "1974-12-25"})
    assert dates(entries, "birthdate") == [
        date_bounds("1974-12-25T05:00:00Z")[:1] + date_bounds("1974-12-26T05:00:00Z")[:1]
    ]


def test_a_date_that_does_not_exist_is_passed_over() -> None:
    assert extract("Patient", birthDate="2013-02-30").dates == []
    assert extract("Encounter", period={"start": "nonsense"}).dates == []


# --- numbers and quantities


def test_numbers_are_exact_and_ranges_have_both_ends() -> None:
    prediction = [{"probabilityDecimal": Decimal("0.10")}, {"probabilityRange": {"low": {"value": 2}}}]
    assert extract("RiskAssessment", prediction=prediction).numbers == [
        ("probability", 0.1, 0.1),
        ("probability", 2.0, inf),
    ]


def quantities(**value: Any) -> list[tuple[Any, ...]]:
    rows = extract("Observation", valueQuantity=value).quantities
    return [row[1:] for row in rows if row[0] == "value-quantity"]


def test_a_quantity_stands_as_stated_and_in_base_units() -> None:
    assert quantities(value=Decimal("70.0"), unit="kg", system=UCUM, code="kg") == [
        (70.0, 70.0, UCUM, "kg", (70000.0, 70000.0, "g"))
    ]


def test_a_quantity_is_also_found_by_its_unit_where_that_is_not_its_code() -> None:
    assert quantities(value=5, unit="beats/minute", system=UCUM, code="/min") == [
        (5.0, 5.0, UCUM, "/min", (0.08333333333333, 0.08333333333333, "s-1")),
        (5.0, 5.0, "", "beats/minute", None),
    ]


def test_a_quantity_of_another_system_or_none_has_no_base_unit() -> None:
    assert quantities(value=5, unit="tablets") == [(5.0, 5.0, "", "tablets", None)]
    assert quantities(value=5, system="http://snomed.info/sct", code="1") == [
        (5.0, 5.0, "http://snomed.info/sct", "1", None)
    ]
    assert quantities(value=5) == [(5.0, 5.0, "", "", None)]
    assert quantities(unit="kg") == []


@pytest.mark.parametrize(
    ("comparator", "value", "inside", "outside"),
    [("<", 5, 4.9, 5), ("<=", 5, 5, 5.1), (">", 5, 5.1, 5), (">=", 5, 5, 4.9), ("<", 0, -0.1, 0), (">", -5, -4.9, -5)],
)
def test_a_comparator_opens_one_end(comparator: str, value: float, inside: float, outside: float) -> None:
    ((low, high, *_, canonical),) = quantities(value=value, comparator=comparator, system=UCUM, code="g", unit="g")
    assert low <= inside <= high
    assert not low <= outside <= high
    assert canonical[0] <= inside <= canonical[1]
    assert not canonical[0] <= outside <= canonical[1]


def test_a_range_is_one_quantity_with_open_ends() -> None:
    low, high = ({"value": value, "unit": "kg", "system": UCUM, "code": "kg"} for value in (5, 7))
    value = {"code": {"coding": [{"code": "a"}]}, "valueRange": {"low": low, "high": high}}
    entries = extract("Group", characteristic=[value])
    assert entries.quantities == []  # R4 has no such parameter of Group
    context = {"code": {"code": "age"}, "valueRange": {"low": low}}
    entries = extract("Library", useContext=[context])
    assert entries.quantities == [("context-quantity", 5.0, inf, UCUM, "kg", (5000.0, inf, "g"))]


def test_money_has_its_currency_as_the_unit() -> None:
    entries = extract("Invoice", totalNet={"value": Decimal("48.00"), "currency": "EUR"})
    assert entries.quantities == [("totalnet", 48.0, 48.0, "urn:iso:std:iso:4217", "EUR", None)]


def test_an_age_is_a_quantity() -> None:
    entries = extract("Condition", onsetAge={"value": 52, "unit": "years", "system": UCUM, "code": "a"})
    assert ("onset-age", 52.0, 52.0, UCUM, "a", (52 * 31557600.0, 52 * 31557600.0, "s")) in entries.quantities


def test_huge_numbers_do_not_fail() -> None:
    assert quantities(value=10**400)[0][:2] == (inf, inf)
    assert quantities(value=Decimal("1e999"))[0][:2] == (inf, inf)


# --- URIs


def test_uris_stand_as_they_are_and_canonicals_also_without_their_version() -> None:
    entries = extract("Patient", meta={"profile": ["http://a.org/p|1.0", "http://a.org/q"], "source": "urn:x"})
    assert entries.uris == [
        ("_profile", "http://a.org/p|1.0"),
        ("_profile", "http://a.org/p"),
        ("_profile", "http://a.org/q"),
        ("_source", "urn:x"),
    ]


# --- references


def subject(reference: dict[str, Any], own_base: str = "", **elements: Any) -> IndexEntries:
    resource = {"resourceType": "Observation", "subject": reference, **elements}
    return EXTRACTOR.extract("Observation", resource, own_base=own_base)


@pytest.mark.parametrize(
    ("literal", "row"),
    [
        ("Patient/1", ("Patient", "1", None, None)),
        ("Patient/1/_history/2", ("Patient", "1", None, "2")),
        ("http://here.org/fhir/Patient/1", ("Patient", "1", None, None)),
        ("http://here.org/fhir/Patient/1/_history/2", ("Patient", "1", None, "2")),
        ("http://elsewhere.org/fhir/Patient/1", (None, None, "http://elsewhere.org/fhir/Patient/1", None)),
        ("http://here.org/fhirPatient/1", (None, None, "http://here.org/fhirPatient/1", None)),
        (
            "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
            (None, None, "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", None),
        ),
        ("#p", ("#", "p", None, None)),
        ("#", (None, None, "#", None)),
        ("Patient?identifier=1", (None, None, "Patient?identifier=1", None)),
    ],
)
@pytest.mark.parametrize("own_base", ["http://here.org/fhir", "http://here.org/fhir/"])
def test_a_reference_of_every_form(literal: str, row: tuple[str | None, ...], own_base: str) -> None:
    assert references(subject({"reference": literal}, own_base), "subject") == [row]


def test_own_absolute_references_depend_on_the_base_of_each_call() -> None:
    literal = {"reference": "http://here.org/fhir/Patient/1"}
    assert references(subject(literal, "http://here.org/fhir"), "subject")[0][0] == "Patient"
    assert references(subject(literal, "http://there.org/fhir"), "subject")[0][0] is None
    assert references(subject(literal), "subject")[0][0] is None


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ({"reference": "Patient/1"}, True),
        ({"reference": "Group/1"}, False),
        ({"reference": "http://elsewhere.org/fhir/Patient/1"}, True),
        ({"reference": "http://elsewhere.org/fhir/Group/1/_history/2"}, False),
        ({"reference": "urn:uuid:1"}, False),
        ({"reference": "urn:uuid:1", "type": "Patient"}, True),
        ({"reference": "#p"}, True),
        ({"reference": "#g"}, False),
    ],
)
def test_patient_is_the_subject_that_is_one(reference: dict[str, str], found: bool) -> None:
    contained = [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Group", "id": "g"}]
    entries = subject(reference, contained=contained)
    assert bool(references(entries, "patient")) is found
    assert len(references(entries, "subject")) == 1


def test_a_logical_reference_is_found_by_its_identifier() -> None:
    entries = subject({"identifier": {"system": "urn:x", "value": "1"}, "type": "Patient"})
    assert tokens(entries, "subject:identifier") == [("urn:x", "1")]
    assert tokens(entries, "patient:identifier") == [("urn:x", "1")]
    assert entries.references == []
    assert tokens(subject({"identifier": {"value": "1"}}), "patient:identifier") == []


def test_the_version_of_a_canonical_stands_apart() -> None:
    entries = extract("MeasureReport", measure="http://a.org/Measure/m|2.0")
    assert references(entries, "measure") == [(None, None, "http://a.org/Measure/m", "2.0")]
    assert references(extract("MeasureReport", measure="Measure/m"), "measure") == [("Measure", "m", None, None)]
    assert references(extract("MeasureReport", measure="#m"), "measure") == [("#", "m", None, None)]


def test_a_resource_in_a_bundle_is_referred_to_by_its_type_and_id() -> None:
    entry = [
        {"resource": {"resourceType": "Composition", "id": "c"}},
        {"resource": {"resourceType": "Patient", "id": "p"}},
    ]
    entries = extract("Bundle", type="document", entry=entry)
    assert references(entries, "composition") == [("Composition", "c", None, None)]
    assert references(entries, "message") == []
    assert references(extract("Bundle", type="collection", entry=entry[1:]), "composition") == []


# --- composites


def component(code: str, value: int) -> dict[str, Any]:
    return {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": {"value": value}}


def test_a_composite_joins_what_stands_in_one_element() -> None:
    entries = extract("Observation", component=[component("8480-6", 120), component("8462-4", 80)])
    joined = [row for code, row in entries.composites if code == "component-code-value-quantity"]
    assert joined == [
        (("token", LOINC, "8480-6"), ("quantity", 120.0, 120.0, "", "", None)),
        (("token", LOINC, "8462-4"), ("quantity", 80.0, 80.0, "", "", None)),
    ]
    assert [row for code, row in entries.composites if code == "combo-code-value-quantity"] == joined


def test_a_composite_has_every_pair_of_codings_and_values() -> None:
    code = {"coding": [{"code": "a"}, {"code": "b"}]}
    entries = extract("Observation", code=code, valueCodeableConcept={"coding": [{"code": "x"}, {"code": "y"}]})
    joined = {(first[2], second[2]) for code_, (first, second) in entries.composites if code_ == "code-value-concept"}
    assert joined == {("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")}


def test_a_composite_without_one_of_its_parts_is_nothing() -> None:
    assert extract("Observation", valueQuantity={"value": 1}).composites == []
    assert extract("Observation", code={"coding": [{"code": "a"}]}).composites == []


def test_a_composite_may_take_a_part_from_the_resource_itself() -> None:
    sequence = {"chromosome": {"coding": [{"code": "1"}]}, "windowStart": 1, "windowEnd": 9}
    entries = extract("MolecularSequence", referenceSeq=sequence, variant=[{"start": 2, "end": 3}])
    joined = [row for code, row in entries.composites if code == "chromosome-variant-coordinate"]
    assert joined == [(("token", None, "1"), ("number", 2.0, 2.0), ("number", 3.0, 3.0))]


def test_the_relationship_of_documents_is_reference_then_code() -> None:
    entries = extract(
        "DocumentReference", relatesTo=[{"code": "replaces", "target": {"reference": "DocumentReference/1"}}]
    )
    system = "http://hl7.org/fhir/document-relationship-type"
    assert entries.composites == [
        ("relationship", (("reference", "DocumentReference", "1", None, None), ("token", system, "replaces")))
    ]


def test_thousands_of_codings_do_not_multiply_without_end() -> None:
    many = {"coding": [{"code": str(number)} for number in range(3_000)]}
    assert len(extract("Observation", code=many, valueCodeableConcept=many).composites) <= 15_000


# --- special, contained


def test_a_location_has_a_position() -> None:
    position = {"latitude": Decimal("42.25"), "longitude": Decimal("-83.69")}
    assert extract("Location", position=position).positions == [("near", 42.25, -83.69)]
    assert extract("Location", position={"latitude": 1}).positions == []


def test_contained_resources_have_entries_of_their_own() -> None:
    inner = {"resourceType": "Practitioner", "id": "p", "name": [{"family": "Smith"}]}
    entries = extract("Observation", contained=[inner], performer=[{"reference": "#p"}])
    ((type_, id_, contained),) = entries.contained
    assert (type_, id_) == ("Practitioner", "p")
    assert strings(contained, "family") == ["smith"]
    assert references(entries, "performer") == [("#", "p", None, None)]


# --- custom parameters


def test_a_custom_parameter_on_an_extension() -> None:
    url = "http://example.org/race"
    extension = [{"url": url, "valueCoding": {"system": "s", "code": "c"}}, {"url": "other", "valueCode": "no"}]
    for expression in (f"Patient.extension('{url}').value", f"Patient.extension.where(url = '{url}').value.as(Coding)"):
        entries = custom(expression).extract("Patient", {"resourceType": "Patient", "extension": extension})
        assert tokens(entries, "x") == [("s", "c")]


def test_a_custom_parameter_that_needs_the_general_engine() -> None:
    extractor = custom("Patient.name.given.select($this.lower() & '!')", "string")
    entries = extractor.extract("Patient", {"resourceType": "Patient", "name": [{"given": ["EVE", "ANN"]}]})
    assert [row for row in entries.strings if row[0] == "x"] == [("x", "eve", "eve!"), ("x", "ann", "ann!")]


def test_a_custom_expression_that_fails_on_a_resource_finds_nothing_there() -> None:
    extractor = custom("Patient.name.given.single()", "string")
    entries = extractor.extract("Patient", {"resourceType": "Patient", "name": [{"given": ["a", "b"]}]})
    assert strings(entries, "x") == []
    assert strings(entries, "given") == ["a", "b"]


# --- what validation did not see

BROKEN: list[Any] = [
    None,
    7,
    "x",
    True,
    [],
    {},
    [None],
    ["x"],
    [[]],
    [{}],
    {"coding": "x"},
    {"coding": [7]},
    [{"coding": {}}],
]


@pytest.mark.parametrize("trusted", [True, False])
def test_misshapen_elements_are_dropped_and_the_rest_is_indexed(trusted: bool) -> None:
    extractor = Extractor(STANDARD, trusted=trusted)
    for name in ("identifier", "name", "telecom", "birthDate", "address", "managingOrganization", "meta", "contained"):
        for broken in BROKEN:
            entries = extractor.extract("Patient", {"resourceType": "Patient", "active": True, name: broken})
            assert tokens(entries, "active") == [(None, "true")]


def test_untrusted_resources_give_only_rows_of_sound_types() -> None:
    broken = {"resourceType": "Patient", "gender": ["male"], "active": "yes", "birthDate": 7, "name": [{"family": {}}]}
    assert Extractor(STANDARD, trusted=False).extract("Patient", broken).present() == {"deceased"}


def test_the_version_changes_with_parameters_zone_and_texts() -> None:
    extractors = (
        EXTRACTOR,
        custom("Patient.gender"),
        Extractor(STANDARD, zone=ZoneInfo("Europe/Berlin")),
        Extractor(STANDARD, texts=False),
    )
    assert len({extractor.version_of("Patient") for extractor in extractors}) == 4
    assert len({extractor.version_of("Observation") for extractor in extractors}) == 3
    assert Extractor(STANDARD).version_of("Patient") == EXTRACTOR.version_of("Patient")


def test_the_generated_text_can_be_read() -> None:
    assert "root.get('birthDate')" in EXTRACTOR.source("Patient")
