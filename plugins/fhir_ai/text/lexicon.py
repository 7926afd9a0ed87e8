"""The lexicon: what words stand for which problem, medicine or measurement. Small, and read once.

Codes: ICD-10-CM (https://www.cms.gov/medicare/coding-billing/icd-10-codes), ATC (https://atcddd.fhi.no),
LOINC (https://loinc.org).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal

from fhir_ai.inputs.ingredients import ATC_OF
from fhir_ai.inputs.tables import ATC, LOINC
from fhir_ai.text.words import Phrases

ICD10CM: Final = "http://hl7.org/fhir/sid/icd-10-cm"
Kind = Literal["problem", "medication", "measurement"]


@dataclass(frozen=True, slots=True)
class Concept:
    """What a phrase stands for. unit: UCUM, in which a measurement is told where the text names none; low, high: its
    plausible limits in any unit in use."""

    kind: Kind
    name: str
    title: str
    system: str
    code: str
    unit: str = ""
    low: float = 0
    high: float = 0


def _table(name: str) -> Any:
    return json.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _lexicon() -> Mapping[str, Concept]:
    found: dict[str, Concept] = {}
    for each in _table("problems.json"):
        concept = Concept("problem", each["name"], each["title"], ICD10CM, each["icd10cm"])
        found |= dict.fromkeys(each["terms"], concept)
    for name, code in ATC_OF.items():
        found[name] = Concept("medication", name, name.capitalize(), ATC, code)
    for brand, name in _table("brands.json").items():
        found[brand] = found[name]
    for each in _table("measurements.json"):
        concept = Concept(
            "measurement", each["name"], each["title"], LOINC, each["loinc"], each["unit"], each["low"], each["high"]
        )
        found |= dict.fromkeys(each["terms"], concept)
    return found


LEXICON: Final = _lexicon()
PHRASES: Final = Phrases(LEXICON)
