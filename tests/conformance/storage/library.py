"""The resources that the tables of search expectations are about."""

from tests.conformance.storage.world import Resource, observation, patient

LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
MR = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}


def quantity(value: float, code: str, **more: object) -> Resource:
    return {"valueQuantity": {"value": value, "unit": code, "system": UCUM, "code": code, **more}}


def code(code_: str, system: str = LOINC, **more: object) -> Resource:
    return {"code": {"coding": [{"system": system, "code": code_, **more}]}}


def component(code_: str, value: float) -> Resource:
    return {**code(code_), "valueQuantity": {"value": value, "unit": "mm[Hg]", "system": UCUM, "code": "mm[Hg]"}}


PATIENTS = [
    patient(
        "ann",
        active=True,
        gender="female",
        birthDate="1974-12-25",
        name=[{"family": "O'Brien-Smith", "given": ["Ann", "María"]}],
        identifier=[{"system": "urn:mrn", "value": "111", "type": MR}, {"system": "urn:ssn", "value": "222"}],
        telecom=[{"system": "email", "value": "ann@example.org", "use": "home"}],
        address=[{"city": "Köln", "postalCode": "50667"}],
        generalPractitioner=[{"reference": "Practitioner/doc"}],
        managingOrganization={"reference": "Organization/hospital"},
        meta={"tag": [{"system": "urn:tag", "code": "vip"}], "profile": ["http://example.org/fhir/sd/p|2.0"]},
        text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A <b>quick</b> brown fox</div>'},
    ),
    patient(
        "bob",
        active=False,
        gender="male",
        birthDate="1974-12",
        name=[{"family": "Müller", "given": ["Bob"]}],
        identifier=[{"system": "urn:mrn", "value": "222", "type": MR}],
        managingOrganization={"reference": "Organization/ward"},
        deceasedBoolean=True,
        meta={"source": "http://lab.example.org/feed"},
        text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a lazy dog</div>'},
    ),
    patient(
        "cid",
        birthDate="1975",
        name=[{"family": "muller"}, {"given": ["Ann"], "text": "Cid, the Great"}],
        identifier=[{"value": "111"}],
        generalPractitioner=[{"reference": "Organization/hospital"}],
        deceasedDateTime="2020-03-01T10:00:00+01:00",
        link=[{"other": {"reference": "Patient/bob"}, "type": "seealso"}],
    ),
    patient("dan"),
]

OTHERS: list[Resource] = [
    {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "House"}], "active": True},
    {
        "resourceType": "Organization",
        "id": "hospital",
        "name": "General Hospital",
        "active": True,
        "address": [{"city": "Bonn"}],
    },
    {
        "resourceType": "Organization",
        "id": "ward",
        "name": "Ward 7",
        "partOf": {"reference": "Organization/hospital"},
    },
    {
        "resourceType": "Encounter",
        "id": "enc",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": "Patient/ann"},
        "period": {"start": "2020-01-10", "end": "2020-01-20"},
    },
    {
        "resourceType": "Encounter",
        "id": "open",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": "Patient/bob"},
        "period": {"start": "2020-02-01"},
    },
    {
        "resourceType": "Location",
        "id": "cologne",
        "name": "Cologne",
        "position": {"latitude": 50.9413, "longitude": 6.9583},
    },
    {"resourceType": "Location", "id": "bonn", "name": "Bonn", "position": {"latitude": 50.7374, "longitude": 7.0982}},
    {"resourceType": "Location", "id": "nowhere", "name": "Nowhere"},
    {"resourceType": "Location", "id": "wing", "name": "Wing", "partOf": {"reference": "Location/cologne"}},
    {"resourceType": "Location", "id": "room", "name": "Room", "partOf": {"reference": "Location/wing"}},
    {
        "resourceType": "Procedure",
        "id": "in-room",
        "status": "completed",
        "subject": {"reference": "Patient/dan"},
        "location": {"reference": "Location/room"},
    },
    {
        "resourceType": "Procedure",
        "id": "in-cologne",
        "status": "completed",
        "subject": {"reference": "Patient/dan"},
        "location": {"reference": "Location/cologne"},
    },
    {
        "resourceType": "RiskAssessment",
        "id": "risk",
        "status": "final",
        "subject": {"reference": "Patient/ann"},
        "prediction": [{"probabilityDecimal": 100}],
    },
    {
        "resourceType": "RiskAssessment",
        "id": "low-risk",
        "status": "final",
        "subject": {"reference": "Patient/bob"},
        "prediction": [{"probabilityDecimal": 0.4}],
    },
    {
        "resourceType": "RiskAssessment",
        "id": "range-risk",
        "status": "final",
        "subject": {"reference": "Patient/bob"},
        "prediction": [{"probabilityRange": {"low": {"value": 10}, "high": {"value": 20}}}],
    },
    {
        "resourceType": "List",
        "id": "mine",
        "status": "current",
        "mode": "working",
        "entry": [{"item": {"reference": "Patient/ann"}}, {"item": {"reference": "Observation/weight"}}],
    },
    {"resourceType": "Slot", "id": "slot", "status": "free", "start": "2020-05-01T10:00:00Z"},
    {"resourceType": "ValueSet", "id": "vs1", "status": "active", "url": "http://acme.org/fhir/ValueSet/123"},
    {"resourceType": "ValueSet", "id": "vs2", "status": "active", "url": "http://acme.org/fhir/ValueSet/1234"},
    {"resourceType": "ValueSet", "id": "vs3", "status": "active", "url": "http://acme.org/fhir"},
    {"resourceType": "ValueSet", "id": "vs4", "status": "active", "url": "urn:oid:1.2.3"},
    {
        "resourceType": "PlanDefinition",
        "id": "plan",
        "status": "active",
        "library": ["http://acme.org/fhir/Library/one|1.0"],
    },
    {
        "resourceType": "PlanDefinition",
        "id": "plain",
        "status": "active",
        "library": ["http://acme.org/fhir/Library/one"],
    },
    {
        "resourceType": "AuditEvent",
        "id": "audit",
        "recorded": "2020-05-01T10:00:00.123Z",
        "type": {"system": "urn:t", "code": "rest"},
        "agent": [{"requestor": True, "who": {"reference": "Patient/bob"}}],
        "source": {"observer": {"reference": "Practitioner/doc"}},
        "entity": [{"what": {"reference": "Observation/weight/_history/3"}}],
    },
]

OBSERVATIONS = [
    observation(
        "weight",
        **code("29463-7", display="Body weight"),
        **quantity(70, "kg"),
        subject={"reference": "Patient/ann"},
        effectiveDateTime="2020-01-15T10:30:00Z",
        category=[{"coding": [{"code": "vital-signs"}], "text": "Vital Signs"}],
        performer=[{"reference": "Practitioner/doc"}],
        encounter={"reference": "Encounter/enc"},
    ),
    observation(
        "grams",
        **code("29463-7"),
        **quantity(70_000, "g"),
        subject={"reference": "Patient/bob"},
        effectiveDateTime="2020-01-15",
    ),
    observation(
        "pressure",
        **code("85354-9"),
        component=[component("8480-6", 120), component("8462-4", 80)],
        subject={"reference": "Patient/ann"},
        effectivePeriod={"start": "2020-01-01", "end": "2020-01-31"},
        hasMember=[{"reference": "Observation/weight"}],
    ),
    observation(
        "below",
        **code("1", "urn:c"),
        **quantity(5, "mg", comparator="<"),
        subject={"identifier": {"system": "urn:mrn", "value": "111"}, "display": "Ann Display"},
        effectivePeriod={"start": "2020-06-01"},
    ),
    observation(
        "coded",
        code={"text": "Some finding", "coding": [{"code": "no-system"}, {"system": SNOMED, "code": "271649006"}]},
        valueCodeableConcept={"coding": [{"system": SNOMED, "code": "260385009", "display": "Negative Résult"}]},
        subject={"reference": "#inner"},
        contained=[
            patient("inner", name=[{"family": "Contained"}], gender="male"),
            {"resourceType": "Practitioner", "id": "indoc", "name": [{"family": "Indoc"}]},
        ],
        performer=[{"reference": "#indoc"}, {"reference": "http://elsewhere.org/fhir/Practitioner/x"}],
        effectiveInstant="2020-01-15T10:30:00.500+02:00",
    ),
    observation(
        "own",
        status="preliminary",
        code={"text": "only text"},
        subject={"reference": "http://example.org/fhir/Patient/ann"},
        valueQuantity={"value": 5.4, "unit": "widgets"},
    ),
]

LIBRARY = [*PATIENTS, *OTHERS, *OBSERVATIONS]
