"""What the search page of the specification says of values: parser, extraction and matcher together.

Spec: https://hl7.org/fhir/R4/search.html
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.search import query as q
from fhir_server.search.indexing import Extractor
from fhir_server.search.match import NoLookup, matches
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.parser import parse_search
from fhir_server.settings import Settings

REGISTRY = ParameterRegistry.standard()
EXTRACTOR = Extractor(REGISTRY)
OWN = "http://here.org/fhir"
UCUM = "http://unitsofmeasure.org"


@dataclass(frozen=True)
class Version:
    key: ResourceKey
    last_updated: int = 0


def finds(type_: str, query: str, resource: dict[str, Any]) -> bool:
    parsed = parse_search(
        tuple(parse_qsl(query)),
        types=(type_,),
        registry=REGISTRY,
        settings=Settings.model_validate({}),
        visibility=q.Visibility(),
        compartment=None,
        own_base=OWN,
        now=0,
    )
    entries = EXTRACTOR.extract(type_, {"resourceType": type_, **resource}, own_base=OWN)
    return matches(parsed.search.branches[type_], Version(ResourceKey(type_, "1")), entries, NoLookup())


def when(text: str) -> dict[str, Any]:
    return {"effectiveDateTime": text}


def period(**ends: str) -> dict[str, Any]:
    return {"effectivePeriod": ends}


def kilograms(value: str, unit: str = "kg") -> dict[str, Any]:
    return {"valueQuantity": {"value": Decimal(value), "unit": unit, "system": UCUM, "code": unit}}


def subject(reference: str) -> dict[str, Any]:
    return {"subject": {"reference": reference}}


DATES = [
    ("date=eq2013-01-14", when("2013-01-14T00:00:00Z"), True),
    ("date=eq2013-01-14", when("2013-01-14T10:00:00Z"), True),
    ("date=eq2013-01-14", when("2013-01-15T00:00:00Z"), False),
    ("date=ne2013-01-14", when("2013-01-15T00:00:00Z"), True),
    ("date=ne2013-01-14", when("2013-01-14T10:00:00Z"), False),
    ("date=lt2013-01-14T10:00", when("2013-01-14"), True),
    ("date=gt2013-01-14T10:00", when("2013-01-14"), True),
    ("date=ge2013-03-14", period(start="2013-01-21"), True),
    ("date=le2013-03-14", period(start="2013-01-21"), True),
    ("date=sa2013-03-14", period(start="2013-03-15"), True),
    ("date=sa2013-03-14", period(start="2013-01-21"), False),
    ("date=sa2013-03-14", period(end="2013-01-21"), False),
    ("date=eb2013-03-14", period(start="2013-03-15"), False),
    ("date=eb2013-03-14", period(start="2013-01-21"), False),
    ("date=eb2013-03-14", period(end="2013-01-21"), True),
    ("date=2013", when("2013-06"), True),
    ("date=2013-06", when("2013"), False),
    ("date=2013-01-14", when("2013-01-14T23:30:00-05:00"), False),
    ("date=2013-01-15", when("2013-01-14T23:30:00-05:00"), True),
    ("date=2013-02-01", {"effectiveTiming": {"event": ["2013-01-31", "2013-03-24"]}}, False),
    ("date=ge2013-02-01&date=le2013-02-01", {"effectiveTiming": {"event": ["2013-01-31", "2013-03-24"]}}, True),
]
QUANTITIES = [
    (f"value-quantity=70|{UCUM}|kg", kilograms("70000", "g"), True),
    (f"value-quantity=70000|{UCUM}|g", kilograms("70"), True),
    (f"value-quantity=70|{UCUM}|kg", kilograms("70.4"), True),
    (f"value-quantity=70|{UCUM}|kg", kilograms("70.5"), False),
    (f"value-quantity=70.0|{UCUM}|kg", kilograms("70.4"), False),
    (f"value-quantity=5.40e-3|{UCUM}|g", kilograms("5.4", "mg"), True),
    (f"value-quantity=gt70|{UCUM}|kg", kilograms("70"), False),
    (f"value-quantity=gt70|{UCUM}|kg", kilograms("70000.1", "g"), True),
    (f"value-quantity=le5.4|{UCUM}|mg", kilograms("5.4", "mg"), True),
    (f"value-quantity=ap70|{UCUM}|kg", kilograms("76"), True),
    (f"value-quantity=ap70|{UCUM}|kg", kilograms("80"), False),
    (f"value-quantity=37|{UCUM}|Cel", kilograms("98.6", "[degF]"), True),
    ("value-quantity=70", kilograms("70", "g"), True),
    ("value-quantity=70||kg", kilograms("70"), True),
    ("value-quantity=70||kilos", {"valueQuantity": {"value": 70, "unit": "kilos", "system": UCUM, "code": "kg"}}, True),
    (f"value-quantity=70|{UCUM}|kilos", {"valueQuantity": {"value": 70, "unit": "kilos"}}, False),
    (
        f"value-quantity=lt5|{UCUM}|g",
        {"valueQuantity": {"value": 5, "comparator": "<", "system": UCUM, "code": "g"}},
        True,
    ),
    (
        f"value-quantity=ge5|{UCUM}|g",
        {"valueQuantity": {"value": 5, "comparator": "<", "system": UCUM, "code": "g"}},
        False,
    ),
    (f"value-quantity=72.342341234123414|{UCUM}|kg", kilograms("72.342341234123414"), True),
    (
        f"combo-code-value-quantity=a$70|{UCUM}|kg",
        kilograms("70000", "g") | {"code": {"coding": [{"code": "a"}]}},
        True,
    ),
    (
        f"combo-code-value-quantity=b$70|{UCUM}|kg",
        kilograms("70000", "g") | {"code": {"coding": [{"code": "a"}]}},
        False,
    ),
]
REFERENCES = [
    ("subject=23", subject("Patient/23"), True),
    ("subject=Patient/23", subject("Patient/23"), True),
    ("subject=Patient/23", subject(f"{OWN}/Patient/23"), True),
    (f"subject={OWN}/Patient/23", subject("Patient/23"), True),
    (f"subject={OWN}/Patient/23", subject(f"{OWN}/Patient/23"), True),
    ("subject=Patient/23", subject("http://elsewhere.org/fhir/Patient/23"), False),
    ("subject=http://elsewhere.org/fhir/Patient/23", subject("http://elsewhere.org/fhir/Patient/23"), True),
    ("subject:Patient=23", subject("Patient/23"), True),
    ("subject:Patient=23", subject("Group/23"), False),
    ("patient=23", subject("Patient/23"), True),
    ("patient=23", subject("Group/23"), False),
    ("subject:identifier=s|1", {"subject": {"identifier": {"system": "s", "value": "1"}}}, True),
    ("subject:missing=false", {"subject": {"display": "Eve"}}, True),
]
TOKENS = [
    ("code=c", {"code": {"coding": [{"system": "s", "code": "c"}]}}, True),
    ("code=s|c", {"code": {"coding": [{"system": "s", "code": "c"}]}}, True),
    ("code=|c", {"code": {"coding": [{"system": "s", "code": "c"}]}}, False),
    ("code=|c", {"code": {"coding": [{"code": "c"}]}}, True),
    ("code=s|", {"code": {"coding": [{"system": "s", "code": "c"}]}}, True),
    ("code:not=c", {"code": {"coding": [{"code": "d"}]}}, True),
    ("code:not=c", {}, True),
    ("code:not=c", {"code": {"coding": [{"code": "d"}, {"code": "c"}]}}, False),
    ("code:text=weight", {"code": {"text": "Body Weight"}}, True),
    ("code:missing=false", {"code": {"text": "Body Weight"}}, True),
    ("code:missing=true", {}, True),
    ("status=http://hl7.org/fhir/observation-status|final", {"status": "final"}, True),
]


@pytest.mark.parametrize(("query", "resource", "expected"), [*DATES, *QUANTITIES, *REFERENCES, *TOKENS])
def test_an_observation_is_found_or_not(query: str, resource: dict[str, Any], expected: bool) -> None:
    assert finds("Observation", query, resource) is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("given=eve", True),
        ("given=EVELYN", True),
        ("given:contains=vel", True),
        ("given:exact=Evelyn", True),
        ("given:exact=evelyn", False),
        ("family=carreno", True),
        ("family=Quiñones", True),
        ("family=quinon", True),
        ("family:exact=Quiñones", False),
        ("name=dr", True),
        ("address=ann arbor", True),
        ("address-use=home", True),
        ("identifier:of-type=t|MR|446053", True),
        ("identifier:of-type=t|SS|446053", False),
        ("phone=555-1234", True),
        ("active=true", True),
        ("deceased=false", True),
    ],
)
def test_a_patient_is_found_or_not(query: str, expected: bool) -> None:
    patient = {
        "active": True,
        "name": [{"family": "Carreño Quiñones", "given": ["Evelyn"], "prefix": ["Dr."]}],
        "address": [{"use": "home", "city": "Ann  Arbor"}],
        "telecom": [{"system": "phone", "value": "555-1234", "use": "home"}],
        "identifier": [{"type": {"coding": [{"system": "t", "code": "MR"}]}, "value": "446053"}],
    }
    assert finds("Patient", query, patient) is expected


@pytest.mark.parametrize(
    ("query", "value", "expected"),
    [
        ("probability=0.8", "0.84", True),
        ("probability=0.8", "0.85", False),
        ("probability=100", "99.5", True),
        ("probability=100", "100.5", False),
        ("probability=100.00", "100.004", True),
        ("probability=1e2", "104", True),
        ("probability=1e2", "105", False),
        ("probability=lt100", "99.9999", True),
        ("probability=lt100", "100", False),
        ("probability=ne100", "100.2", False),
        ("probability=ne100", "100.6", True),
        ("probability=gt8e-1", "0.81", True),
    ],
)
def test_the_precision_of_a_number_counts(query: str, value: str, expected: bool) -> None:
    assert finds("RiskAssessment", query, {"prediction": [{"probabilityDecimal": Decimal(value)}]}) is expected
