"""Pregnancies in the record: EpisodesOfCare of them, whether they go on, and how far they are."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_ai.inputs.newest import usable, when
from fhir_ai.inputs.tables import LOINC, SNOMED
from fhir_ai.inputs.times import millis
from fhir_ai.inputs.units import UnitFault, in_unit
from fhir_server.plugin_api import Resource

PREGNANCY: Final = frozenset(("77386006", "72892002", "424525001", "386639001", "134435003", "16356006"))
"""SNOMED CT: pregnancy, normal and multiple pregnancy, antenatal care and its episodes, postnatal care."""
_OPEN: Final = frozenset(("planned", "waitlist", "active", "onhold"))
_TERM_DAYS: Final = 280
_LONGEST_DAYS: Final = 310
_DAY: Final = 86_400_000
_AGE: Final = frozenset(("11884-4", "18185-9"))
DUE: Final = frozenset(("11778-8", "11779-6", "11781-2", "57063-9"))
LAST_PERIOD: Final = frozenset(("8665-2",))
DATING: Final = _AGE | DUE | LAST_PERIOD
_TEXT: Final = re.compile(r"\b(pregnan|antenatal|prenatal|maternity|obstetric)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pregnancy:
    """One pregnancy: the EpisodeOfCare, its patient by id, and whether it goes on."""

    episode: str
    patient: str
    open: bool


def pregnancy_of(episode: Resource, now: int, base: str = "") -> Pregnancy | None:
    """Return the pregnancy that an EpisodeOfCare is about; None where it is about something else."""
    if not any(_is_pregnancy(each) for each in episode.get("type", ())):
        return None
    reference = str(episode.get("patient", {}).get("reference", "")).removeprefix(f"{base}/")
    type_, _, id_ = reference.partition("/")
    if type_ != "Patient" or not id_ or "/" in id_:
        return None
    end = millis(episode.get("period", {}).get("end"))
    goes_on = episode.get("status") in _OPEN and (end is None or end >= now - _DAY)
    return Pregnancy(f"EpisodeOfCare/{episode['id']}", id_, goes_on)


def _is_pregnancy(concept: Mapping[str, Any]) -> bool:
    codings = concept.get("coding", ())
    if any(each.get("system") == SNOMED and each.get("code") in PREGNANCY for each in codings):
        return True
    return not codings and bool(_TEXT.search(str(concept.get("text", ""))[:200]))


def gestational_age(observations: Iterable[Mapping[str, Any]], now: int) -> float | None:
    """Return the weeks of a pregnancy now: by the due date, else by a gestational age, else by the last period.

    What gives an age that no pregnancy has is not believed.
    """
    found: dict[int, tuple[int, float]] = {}
    for observation in observations:
        at, _ = when(observation)
        if at is None or not usable(observation):
            continue
        for rank, weeks in _weeks(observation, at, now):
            if 0 < weeks * 7 <= _LONGEST_DAYS and (rank not in found or at > found[rank][0]):
                found[rank] = (at, weeks)
    return found[min(found)][1] if found else None


def _weeks(observation: Mapping[str, Any], at: int, now: int) -> Iterable[tuple[int, float]]:
    codes = {each.get("code") for each in observation.get("code", {}).get("coding", ()) if each.get("system") == LOINC}
    date = millis(observation.get("valueDateTime"))
    if codes & DUE and date is not None:
        yield 0, (_TERM_DAYS - (date - now) / _DAY) / 7
    if codes & LAST_PERIOD and date is not None:
        yield 2, (now - date) / _DAY / 7
    if codes & _AGE:
        try:
            weeks = in_unit(observation.get("valueQuantity", {}), "wk")
        except UnitFault:
            return
        yield 1, weeks + (now - at) / _DAY / 7
