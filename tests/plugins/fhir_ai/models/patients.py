"""Patients for the tests of the models: one who is ill, and how another differs."""

from fhir_ai.scores.score import Value

ILL: dict[str, Value] = {
    "inpatient": True,
    "age": 64,
    "sex": "male",
    "disease_group": "arf-mosf-sepsis",
    "gcs": 15,
    "mean_arterial_pressure": 75,
    "heart_rate": 105,
    "respiratory_rate": 24,
    "temperature": 38.1,
    "sodium": 137,
    "creatinine": 1.4,
    "wbc": 12,
}


def ill(**changes: Value) -> dict[str, Value]:
    """A patient with sepsis who has every required value; `changes` replace or add values."""
    return {**ILL, **changes}
