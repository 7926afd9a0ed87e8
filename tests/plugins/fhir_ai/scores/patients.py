"""A patient of whom every input of every score is known."""

from typing import Any

from fhir_ai.scores.vocabulary import VOCABULARY

_NUMBERS = {
    "age": 55,
    "systolic": 128,
    "diastolic": 78,
    "mean_arterial_pressure": 95,
    "heart_rate": 84,
    "respiratory_rate": 16,
    "temperature": 37.0,
    "spo2": 97,
    "gcs": 15,
    "egfr": 52,
    "bmi": 27,
    "waist": 92,
    "creatinine": 1.1,
    "total_cholesterol": 210,
    "hdl_cholesterol": 48,
    "hba1c": 5.9,
    "gestational_age": 32,
    "fasting_glucose": 104,
    "sodium": 138,
    "platelets": 210,
    "uacr": 120,
    "urine_24h": 1500,
    "urine_hourly": 60,
    "fetal_heart_rate": 140,
}


def known(**changes: Any) -> dict[str, Any]:
    """A value for every input, with the changes that a test is about."""
    values: dict[str, Any] = {}
    for name, wanted in VOCABULARY.items():
        if wanted.kind == "boolean":
            values[name] = False
        elif wanted.kind == "code":
            values[name] = wanted.codes[0]
        else:
            values[name] = _NUMBERS.get(name, min(max(1.0, wanted.low), wanted.high))
    return {**values, **changes}
