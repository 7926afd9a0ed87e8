"""The documents that validators are measured with."""

from fhir_server.model.json import minify

PATIENT = minify(b"""{
  "resourceType": "Patient", "id": "bench-patient",
  "meta": {"profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]},
  "text": {"status": "generated",
    "div": "<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><p><b>Amy V. Shaw</b>, born 1987-02-20</p></div>"},
  "extension": [
    {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race", "extension": [
      {"url": "ombCategory",
       "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2106-3", "display": "White"}},
      {"url": "text", "valueString": "White"}]},
    {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex", "valueCode": "F"}],
  "identifier": [
    {"use": "usual", "type": {"coding": [
      {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR", "display": "Medical Record Number"}],
      "text": "Medical Record Number"}, "system": "http://hospital.smarthealthit.org", "value": "1032702"},
    {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-22-1962"}],
  "active": true,
  "name": [
    {"use": "official", "family": "Shaw", "given": ["Amy", "V."],
     "period": {"start": "2016-12-06", "end": "2020-07-22"}},
    {"use": "maiden", "family": "Baxter", "given": ["Amy"], "suffix": ["PharmD"]}],
  "telecom": [
    {"system": "phone", "value": "555-555-5555", "use": "home"},
    {"system": "email", "value": "amy.shaw@example.com"}],
  "gender": "female", "birthDate": "1987-02-20", "multipleBirthInteger": 2,
  "address": [
    {"use": "home", "line": ["183 Mountain View St"], "city": "Mounds", "state": "OK", "postalCode": "74048",
     "country": "US", "period": {"start": "2016-12-06"}}],
  "maritalStatus": {"coding": [
    {"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M", "display": "Married"}]},
  "contact": [
    {"relationship": [{"text": "Husband"}], "name": {"family": "Shaw", "given": ["John"]},
     "telecom": [{"system": "phone", "value": "555-555-5556"}]}],
  "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en-US"}]}, "preferred": true}],
  "generalPractitioner": [{"reference": "Practitioner/42", "display": "Dr. Adam Careful"}],
  "managingOrganization": {"reference": "Organization/1"}
}""")

_OBSERVATION = b"""{
  "resourceType": "Observation", "id": "bench-%(code)s", "status": "final",
  "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
    "code": "%(category)s", "display": "%(said)s"}]}],
  "code": {"coding": [{"system": "http://loinc.org", "code": "%(code)s", "display": "%(display)s"}],
    "text": "%(display)s"},
  "subject": {"reference": "Patient/bench-patient"}, "encounter": {"reference": "Encounter/1"},
  "effectiveDateTime": "2026-03-01T09:30:00+01:00", "issued": "2026-03-01T10:00:00.000+01:00",
  "performer": [{"reference": "Practitioner/42"}],
  "valueQuantity": {"value": %(value)s, "unit": "%(unit)s", "system": "http://unitsofmeasure.org", "code": "%(unit)s"}
}"""

OBSERVATION = minify(
    _OBSERVATION
    % {
        b"code": b"2339-0", b"display": b"Glucose [Mass/volume] in Blood", b"category": b"laboratory",
        b"said": b"Laboratory", b"value": b"95.5", b"unit": b"mg/dL",
    }
)  # fmt: skip
"""A laboratory result."""

VITAL_SIGN = minify(
    _OBSERVATION
    % {
        b"code": b"8867-4", b"display": b"Heart rate", b"category": b"vital-signs", b"said": b"Vital Signs",
        b"value": b"72", b"unit": b"/min",
    }
)  # fmt: skip
"""A heart rate, which R4 holds to a profile."""

DOCUMENTS = {"Patient": PATIENT, "Observation": OBSERVATION, "heart rate": VITAL_SIGN}
