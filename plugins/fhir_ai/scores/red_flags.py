"""Red flags: symptoms and signs that alone make a case urgent, with WHO's danger signs of children and pregnancy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from fhir_ai.scores.symptoms import SYMPTOMS, keys_of

WHO_ETAT = "WHO. Paediatric emergency triage, assessment and treatment, 2016. https://iris.who.int/handle/10665/204463"
WHO_IMCI = (
    "WHO. Integrated Management of Childhood Illness: chart booklet, 2014. https://iris.who.int/handle/10665/104772"
)
WHO_INFANT = "WHO. Managing possible serious bacterial infection in young infants, 2015. https://iris.who.int/handle/10665/181426"
WHO_PCPNC = (
    "WHO. Pregnancy, childbirth, postpartum and newborn care: a guide for essential practice, 3rd ed., 2015. "
    "https://iris.who.int/handle/10665/249580"
)
WHO_BEC = "WHO, ICRC. Basic emergency care: approach to the acutely ill and injured, 2018. https://iris.who.int/handle/10665/275635"
AHA_STROKE = "Powers WJ et al. Stroke 2019;50:e344-e418. https://doi.org/10.1161/STR.0000000000000211"
AHA_CHEST = "Gulati M et al. Circulation 2021;144:e368-e454. https://doi.org/10.1161/CIR.0000000000001029"
SSC = "Evans L et al. Surviving Sepsis Campaign 2021. https://doi.org/10.1007/s00134-021-06506-y"
ACOG_767 = "ACOG Committee Opinion 767. Obstet Gynecol 2019;133:e174-e180. https://doi.org/10.1097/AOG.0000000000003075"
NICE_SUICIDE = "NICE NG225. Self-harm: assessment, management and preventing recurrence, 2022. https://www.nice.org.uk/guidance/ng225"
NICE_MENINGITIS = "NICE NG240. Meningitis and meningococcal disease, 2024. https://www.nice.org.uk/guidance/ng240"
RCOG_RFM = "RCOG Green-top Guideline 57. Reduced fetal movements, 2011. https://www.rcog.org.uk/guidance"

MONTH = 1 / 12
WEEK = 7 / 365.25
_ALWAYS = (0.0, math.inf)
_CHILD = (2 * MONTH, 5.0)
_INFANT = (0.0, 2 * MONTH)
_MINOR = (0.0, 16.0)


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of somebody now.

    age_years: with its fraction; without it the rules of children do not fire, those of adults do. codes:
    `system|code`, SNOMED CT or ICD-10. keys: of `SYMPTOMS`. vitals: by the names and in the units of the vocabulary.
    """

    age_years: float | None = None
    pregnant: bool = False
    sex: str = ""
    codes: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    vitals: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class RedFlag:
    """One that fired: its acuity (1 immediate, 2 very urgent), by which finding, and who says so."""

    name: str
    acuity: int
    because: str
    source: str


@dataclass(frozen=True, slots=True)
class SymptomRule:
    """Fires when every one of `needs` is there, within the ages, and in pregnancy only if `pregnant`."""

    name: str
    acuity: int
    needs: tuple[str, ...]
    source: str
    ages: tuple[float, float] = _ALWAYS
    pregnant: bool = False


@dataclass(frozen=True, slots=True)
class VitalRule:
    """Fires when a vital sign is under `low`, or at `high` or more."""

    name: str
    acuity: int
    vital: str
    source: str
    low: float = -math.inf
    high: float = math.inf
    ages: tuple[float, float] = _ALWAYS
    pregnant: bool = False


def _each(acuity: int, source: str, keys: str, ages: tuple[float, float] = _ALWAYS) -> tuple[SymptomRule, ...]:
    return tuple(SymptomRule(key, acuity, (key,), source, ages) for key in keys.split())


def _pregnancy(acuity: int, source: str, *needs: str) -> SymptomRule:
    return SymptomRule("-and-".join(("pregnancy", *needs)), acuity, needs, source, pregnant=True)


SYMPTOM_RULES: tuple[SymptomRule, ...] = (
    *_each(1, WHO_BEC, "cardiac-arrest respiratory-arrest airway-obstruction cyanosis shock unconscious"),
    *_each(1, WHO_BEC, "respiratory-distress anaphylaxis status-epilepticus uncontrolled-bleeding major-trauma"),
    *_each(2, WHO_BEC, "stridor haematemesis melaena haemoptysis altered-mental-status convulsion overdose"),
    *_each(2, WHO_BEC, "severe-burn snake-bite severe-abdominal-pain ketoacidosis sudden-severe-headache"),
    *_each(2, AHA_CHEST, "chest-pain", (16, math.inf)),
    *_each(2, WHO_BEC, "syncope"),
    *_each(2, AHA_STROKE, "stroke hemiparesis speech-loss facial-droop"),
    *_each(1, SSC, "sepsis"),
    *_each(2, NICE_SUICIDE, "suicidal"),
    SymptomRule("fever-and-stiff-neck", 2, ("fever", "neck-stiffness"), NICE_MENINGITIS),
    SymptomRule("fever-and-petechial-rash", 1, ("fever", "petechial-rash"), NICE_MENINGITIS),
    *_each(1, WHO_ETAT, "severe-dehydration poor-perfusion convulsion lethargic stridor chest-indrawing", _MINOR),
    *_each(2, WHO_IMCI, "unable-to-drink vomits-everything", _CHILD),
    *_each(1, WHO_INFANT, "not-feeding-well no-spontaneous-movement unable-to-drink", _INFANT),
    *_each(2, WHO_INFANT, "fever", _INFANT),
    _pregnancy(1, WHO_PCPNC, "convulsion"),
    _pregnancy(1, WHO_PCPNC, "eclampsia"),
    _pregnancy(1, WHO_PCPNC, "cord-prolapse"),
    _pregnancy(2, WHO_PCPNC, "vaginal-bleeding"),
    _pregnancy(2, WHO_PCPNC, "severe-abdominal-pain"),
    _pregnancy(2, WHO_PCPNC, "severe-headache"),
    _pregnancy(2, WHO_PCPNC, "visual-disturbance"),
    _pregnancy(2, WHO_PCPNC, "fever"),
    _pregnancy(2, WHO_PCPNC, "fast-or-difficult-breathing"),
    _pregnancy(2, WHO_PCPNC, "rupture-of-membranes"),
    _pregnancy(2, RCOG_RFM, "reduced-fetal-movement"),
)

VITAL_RULES: tuple[VitalRule, ...] = (
    VitalRule("fast-breathing-under-2-months", 2, "respiratory_rate", WHO_INFANT, high=60, ages=_INFANT),
    VitalRule("fast-breathing-2-to-11-months", 2, "respiratory_rate", WHO_IMCI, high=50, ages=(2 * MONTH, 1.0)),
    VitalRule("fast-breathing-1-to-4-years", 2, "respiratory_rate", WHO_IMCI, high=40, ages=(1.0, 5.0)),
    VitalRule("infant-fever", 2, "temperature", WHO_INFANT, high=38.0, ages=_INFANT),
    VitalRule("infant-hypothermia", 1, "temperature", WHO_INFANT, low=35.5, ages=_INFANT),
    VitalRule("child-hypoxaemia", 1, "spo2", WHO_ETAT, low=90, ages=_MINOR),
    VitalRule("severe-hypertension-in-pregnancy-systolic", 2, "systolic", ACOG_767, high=160, pregnant=True),
    VitalRule("severe-hypertension-in-pregnancy-diastolic", 2, "diastolic", ACOG_767, high=110, pregnant=True),
)


def red_flags(findings: Findings) -> tuple[RedFlag, ...]:
    """Every red flag that fires, the most urgent first.

    A symptom counts by its key or by a code that stands for it. Nothing here lowers an acuity, and an empty answer says
    only that none of these fired. Rules for children need the age; rules for pregnancy need it to be known.
    """
    present = _present(findings)
    fired = [
        RedFlag(rule.name, rule.acuity, "; ".join(present[key] for key in rule.needs), rule.source)
        for rule in SYMPTOM_RULES
        if all(key in present for key in rule.needs) and _is_about(rule.ages, rule.pregnant, findings)
    ]
    fired += [flag for rule in VITAL_RULES if (flag := _vital(rule, findings))]
    return tuple(sorted(_once(fired), key=lambda flag: flag.acuity))


def _present(findings: Findings) -> dict[str, str]:
    """Each symptom that is there with what said so."""
    present = {key: SYMPTOMS[key].title for key in sorted(findings.keys) if key in SYMPTOMS}
    for code in sorted(findings.codes):
        key = keys_of(code)
        if key:
            present.setdefault(key, f"{SYMPTOMS[key].title} ({code})")
    return present


def _is_about(ages: tuple[float, float], pregnant: bool, findings: Findings) -> bool:
    if pregnant and not findings.pregnant:
        return False
    if ages == _ALWAYS:
        return True
    if findings.age_years is None:
        return math.isinf(ages[1])
    return ages[0] <= findings.age_years < ages[1]


def _vital(rule: VitalRule, findings: Findings) -> RedFlag | None:
    value = findings.vitals.get(rule.vital)
    if value is None or not _is_about(rule.ages, rule.pregnant, findings):
        return None
    if rule.low <= value < rule.high:
        return None
    return RedFlag(rule.name, rule.acuity, f"{rule.vital} is {value:g}", rule.source)


def _once(flags: Sequence[RedFlag]) -> list[RedFlag]:
    """One flag of a name: the most urgent (a child's rule may be stricter than the adult's of the same symptom)."""
    best: dict[str, RedFlag] = {}
    for flag in flags:
        if flag.name not in best or flag.acuity < best[flag.name].acuity:
            best[flag.name] = flag
    return list(best.values())
