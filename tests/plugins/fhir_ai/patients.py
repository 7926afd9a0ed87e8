"""Small patients with vital signs, and calls of the operations."""

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime.fromtimestamp(1_750_000_000, UTC)
"""The time at which the clock of a server in tests stands still."""
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
WELL: dict[str, tuple[float, str]] = {
    "9279-1": (16, "/min"),
    "59408-5": (98, "%"),
    "3151-8": (0, "L/min"),
    "8480-6": (120, "mm[Hg]"),
    "8867-4": (70, "/min"),
    "8310-5": (37, "Cel"),
}
ALERT = {"coding": [{"system": "http://snomed.info/sct", "code": "248234008"}]}


def ago(hours: float) -> str:
    """Return a time some hours ago."""
    return (NOW - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def born(years: float) -> str:
    """Return the birth date of somebody of an age."""
    return (NOW - timedelta(days=years * 365.25 + 2)).strftime("%Y-%m-%d")


def person(years: float = 50, gender: str = "female") -> dict[str, Any]:
    return {"resourceType": "Patient", "birthDate": born(years), "gender": gender}


def measured(of: str, code: str, value: float, unit: str | None, hours: float = 1) -> dict[str, Any]:
    """Return an Observation with a quantity; without a unit, if that is None."""
    quantity = {"value": value, **({"unit": unit, "system": UCUM, "code": unit} if unit else {})}
    return {**observed(of, code, hours), "valueQuantity": quantity}


def observed(of: str, code: str, hours: float = 1) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        **({"subject": {"reference": of}} if of else {}),
        "effectiveDateTime": ago(hours),
    }


def vitals(of: str, hours: float = 1, **other: Any) -> list[dict[str, Any]]:
    """Return all vital signs of NEWS2, normal but for `other` ({code: (value, unit)} as `_8480_6=...`)."""
    values = {**WELL, **{name.strip("_").replace("_", "-"): value for name, value in other.items()}}
    found = [measured(of, code, *each, hours) for code, each in values.items() if each]
    return [*found, {**observed(of, "80288-4", hours), "valueCodeableConcept": ALERT}]


def condition(of: str, system: str, code: str, hours: float = 1) -> dict[str, Any]:
    status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    return {
        "resourceType": "Condition",
        "clinicalStatus": status,
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": of},
        "onsetDateTime": ago(hours),
    }


def store(client: Any, resource: dict[str, Any]) -> str:
    answer = client.post(f"/fhir/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    return f"{resource['resourceType']}/{answer.json()['id']}"


def store_all(client: Any, resources: list[dict[str, Any]]) -> None:
    for start in range(0, len(resources), 1000):
        entries = [
            {"resource": each, "request": {"method": "POST", "url": each["resourceType"]}}
            for each in resources[start : start + 1000]
        ]
        answer = client.post("/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert answer.status_code == 200, answer.text


def call(client: Any, path: str, *parts: dict[str, Any]) -> dict[str, list[Any]]:
    """POST an operation; return its outputs by name: a resource, a value, or parts as a dict."""
    answer = client.post(f"/fhir/{path}", json={"resourceType": "Parameters", "parameter": list(parts)})
    assert answer.status_code == 200, answer.text
    return outputs(answer.json())


def outputs(body: dict[str, Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for part in body["parameter"]:
        found.setdefault(part["name"], []).append(_value(part))
    return found


def _value(part: dict[str, Any]) -> Any:
    if "part" in part:
        return {each["name"]: _value(each) for each in part["part"]}
    return next(value for key, value in part.items() if key != "name")
