"""Measures: the number that stands behind the name of a measurement, with its unit where it has one, and doses."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from fhir_ai.text.lexicon import Concept
from fhir_ai.text.words import Phrases, Word

_BETWEEN: Final = frozenset(
    [
        "is",
        "was",
        "of",
        ":",
        "=",
        "at",
        "to",
        "now",
        "today",
        "currently",
        "level",
        "measured",
        "reading",
        "-",
        "(",
        "around",
        "about",
        "approximately",
        "up",
        "down",
        "from",
        "a",
        "remains",
        "stable",
        "elevated",
        "low",
        "high",
        "normal",
        ",",
        "and",
        "on",
    ]
)
_REACH: Final = 5
_UNITS: Final = Phrases(
    {
        "mg / dl": "mg/dL", "g / dl": "g/dL", "gm / dl": "g/dL", "g / l": "g/L", "mmol / l": "mmol/L",
        "meq / l": "meq/L", "umol / l": "umol/L", "micromol / l": "umol/L", "mg / l": "mg/L", "ng / ml": "ng/mL",
        "ng / l": "ng/L", "u / l": "U/L", "iu / l": "[IU]/L", "mm hg": "mm[Hg]", "mmhg": "mm[Hg]", "%": "%",
        "bpm": "/min", "/ min": "/min", "beats per minute": "/min", "breaths per minute": "/min", "per minute": "/min",
        "f": "[degF]", "fahrenheit": "[degF]", "degrees f": "[degF]", "c": "Cel", "celsius": "Cel",
        "degrees c": "Cel", "kg": "kg", "kilograms": "kg", "lb": "[lb_av]", "lbs": "[lb_av]", "pounds": "[lb_av]",
        "cm": "cm", "m": "m", "mm": "mm", "inches": "[in_i]", "in": "[in_i]", "kg / m": "kg/m2", "kg / m 2": "kg/m2",
        "kg / m2": "kg/m2", "mmol / mol": "mmol/mol", "k / ul": "10*3/uL", "x 10 3 / ul": "10*3/uL",
        "mcg": "ug", "ug": "ug", "mg": "mg", "g": "g", "gram": "g", "grams": "g", "ml": "mL", "units": "[iU]",
        "unit": "[iU]", "iu": "[iU]", "puffs": "{puff}", "puff": "{puff}", "tablets": "{tbl}", "tablet": "{tbl}",
    }
)  # fmt: skip
_DOSES: Final = frozenset(("ug", "mg", "g", "mL", "[iU]", "{puff}", "{tbl}", "meq"))
_RATIO: Final = "/"


@dataclass(frozen=True, slots=True)
class Measure:
    """A number with its unit (UCUM; empty where the text has none), and the words from `first` to before `last`.

    second: the other number of a pair: the diastolic pressure.
    """

    value: Decimal
    unit: str
    first: int
    last: int
    second: Decimal | None = None


def measure_after(words: Sequence[Word], last: int, concept: Concept) -> Measure | None:
    """Return the measure that stands behind the words of a name, which end before `last`."""
    for at in range(last, min(last + _REACH, len(words))):
        number = _number(words[at])
        if number is not None:
            found = _measure(words, at, number)
            pair = concept.name == "blood-pressure"
            return found if pair == (found.second is not None) and _plausible(found, concept) else None
        if words[at].text not in _BETWEEN:
            return None
    return None


def dose_after(words: Sequence[Word], last: int) -> Measure | None:
    """Return the dose that stands behind the name of a medicine."""
    for at in range(last, min(last + 4, len(words))):
        number = _number(words[at])
        if number is not None:
            found = _measure(words, at, number)
            return found if found.unit in _DOSES else None
    return None


def size_near(words: Sequence[Word], first: int, last: int) -> Measure | None:
    """Return the size in cm or mm that stands right before or behind a finding."""
    for at in (*range(max(0, first - 4), first), *range(last, min(last + 4, len(words)))):
        number = _number(words[at])
        if number is not None:
            found = _measure(words, at, number)
            if found.unit in ("cm", "mm"):
                return found
    return None


def _measure(words: Sequence[Word], at: int, number: Decimal) -> Measure:
    last, second = at + 1, None
    if last + 1 < len(words) and words[last].text == _RATIO and (other := _number(words[last + 1])) is not None:
        second, last = other, last + 2
    unit = next(_UNITS.find(words[last : last + 5]), None)
    if unit is None or unit.first != 0:
        return Measure(number, "", at, last, second)
    return Measure(number, unit.means, at, last + unit.last, second)


def _number(word: Word) -> Decimal | None:
    return Decimal(word.text.replace(",", ".")) if word.text[0].isdigit() else None


def _plausible(found: Measure, concept: Concept) -> bool:
    if concept.name == "blood-pressure":
        return found.second is not None and 30 <= found.value <= 320 and 10 <= found.second < found.value
    return Decimal(str(concept.low)) <= found.value <= Decimal(str(concept.high))
