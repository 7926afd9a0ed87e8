"""Where inputs stand in a record: LOINC codes, codes of answers, codes of diagnoses and of medicines.

Codes are those of research and of https://loinc.org, https://www.snomed.org, https://icd.who.int and
https://atcddd.fhi.no. Any input may also be recorded under its own name in our CodeSystem.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

LOINC: Final = "http://loinc.org"
SNOMED: Final = "http://snomed.info/sct"
ICD10: Final = ("http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm")
ATC: Final = "http://www.whocc.no/atc"
INPUTS: Final = "http://fhir-server.org/CodeSystem/score-input"


@dataclass(frozen=True, slots=True)
class Place:
    """LOINC codes of an input. mass: g/mol where amounts of substance are in use too, which may differ by code."""

    codes: tuple[str, ...]
    mass: float = 0
    masses: Mapping[str, float] | None = None

    def mass_of(self, code: str) -> float:
        """Return the molar mass that the values of a code are of."""
        return (self.masses or {}).get(code, self.mass)


def _at(codes: str, mass: float = 0) -> Place:
    return Place(tuple(codes.split()), mass)


_PHQ9: Final = "44250-9 44255-8 44259-0 44254-1 44251-7 44258-2 44252-5 44253-3 44260-8"
_GAD7: Final = "69725-0 68509-9 69733-4 69734-2 69735-9 69689-8 69736-7"
_HOW_OFTEN: Final[Mapping[str, float]] = {"LA6568-5": 0, "LA6569-3": 1, "LA6570-1": 2, "LA6571-9": 3}

_PLACES: Final[dict[str, Place]] = {
    "respiratory_rate": _at("9279-1"),
    "spo2": _at("59408-5 2708-6"),
    # 3150-0 is the code of the inspired fraction; 3150-6, which some send, has a wrong check digit
    "on_oxygen": _at("3151-8 3150-0 3150-6"),
    "systolic": _at("8480-6"),
    "diastolic": _at("8462-4"),
    "mean_arterial_pressure": _at("8478-0"),
    "heart_rate": _at("8867-4"),
    "temperature": _at("8310-5 8331-1"),
    "consciousness": _at("80288-4 67775-7"),
    "gcs": _at("9269-2"),
    "bmi": _at("39156-5"),
    "waist": _at("8280-0"),
    "urine_24h": _at("9192-6"),
    "wbc": _at("6690-2"),
    "platelets": _at("777-3"),
    "paco2": _at("2019-8"),
    "pao2_fio2": _at("50984-4"),
    "bilirubin": _at("1975-2 14631-6", 584.66),
    "creatinine": _at("2160-0 14682-9", 113.12),
    # blood urea nitrogen is the nitrogen alone: 28.014 g of it in a mole of urea
    "urea": Place(("3094-0", "22664-7", "3091-6"), 60.06, {"3094-0": 28.014}),
    "sodium": _at("2951-2"),
    "albumin": _at("1751-7"),
    "inr": _at("6301-6 34714-6"),
    "ast": _at("1920-8"),
    "alt": _at("1742-6"),
    "egfr": _at("98979-8 62238-1 33914-3"),
    "uacr": _at("9318-7 14959-1 32294-1", 113.12),
    "calcium": _at("17861-6 2000-8", 40.078),
    "phosphate": _at("2777-1 14879-1", 30.974),
    "arterial_ph": _at("2744-1"),
    "bicarbonate": _at("1963-8 2028-9"),
    "total_cholesterol": _at("2093-3 14647-2", 386.65),
    "hdl_cholesterol": _at("2085-9 14646-4", 386.65),
    "hba1c": _at("4548-4 59261-8"),
    "fasting_glucose": _at("1558-6 14771-0", 180.156),
    "random_glucose": _at("2345-7 2339-0 14749-6 15074-8", 180.156),
    "glucose_2h": _at("1518-0", 180.156),
    "haemoglobin": _at("718-7 20509-6"),
    "mcv": _at("787-2 30428-7"),
    "ferritin": _at("2276-4 20567-4"),
    "tsh": _at("3016-3 11580-8"),
    "crp": _at("1988-5 30522-7"),
    "esr": _at("4537-7 30341-2"),
    "bnp": _at("30934-4 42637-9"),
    "d_dimer": _at("48065-7"),
    "beta_hydroxybutyrate": _at("53060-9 6873-4", 104.1),
    "potassium": _at("2823-3 6298-4"),
    "current_smoker": _at("72166-2"),
    "pregnant": _at("82810-3"),
    "total_t4": _at("14921-1 3026-2", 776.87),
    "total_t3": _at("14930-2 3053-6", 650.97),
    "free_t4_index": _at("32215-6"),
    "gestational_age": _at("11884-4 18185-9"),
    "fetal_heart_rate": _at("55283-6"),
    **{f"phq9_{n}": _at(code) for n, code in enumerate(_PHQ9.split(), 1)},
    **{f"gad7_{n}": _at(code) for n, code in enumerate(_GAD7.split(), 1)},
}
PLACES: Final[Mapping[str, Place]] = MappingProxyType(_PLACES)
"""Where each input is recorded; registered models add theirs."""


def add_place(name: str, codes: tuple[str, ...]) -> bool:
    """Let an input that no score has be found under LOINC codes; tell whether that is new."""
    known = _PLACES.get(name, Place(()))
    if set(codes) <= set(known.codes) or known.mass or known.masses:
        return False
    _PLACES[name] = Place(tuple(dict.fromkeys((*known.codes, *codes))))
    return True


PANELS: Final = ("85354-9", "55284-4", "85353-1")
"""Codes of Observations whose components hold inputs."""

ANSWERS: Final[Mapping[str, Mapping[str, str | bool | float]]] = MappingProxyType(
    {
        **{f"phq9_{n}": _HOW_OFTEN for n in range(1, 10)},
        **{f"gad7_{n}": _HOW_OFTEN for n in range(1, 8)},
        "consciousness": {
            "248234008": "alert",
            "130987000": "confusion",
            "300202002": "voice",
            "450847001": "pain",
            "422768004": "unresponsive",
        },
        "pregnant": {"77386006": True, "60001007": False, "LA15173-0": True, "LA26683-5": False},
        "current_smoker": {
            **dict.fromkeys(("449868002", "428041000124106", "77176002", "428071000124103", "428061000124105"), True),
            **dict.fromkeys(("LA18976-3", "LA18977-1", "LA18981-3", "LA18982-1"), True),
            **dict.fromkeys(("266919005", "8517006", "LA18978-9", "LA15920-4"), False),
        },
    }
)
"""What coded answers mean; a code that is not here is no answer."""

ABOVE: Final[Mapping[str, tuple[str, float]]] = MappingProxyType(
    {"3151-8": ("L/min", 0), "3150-0": ("%", 21), "3150-6": ("%", 21)}
)
"""Measurements that mean a yes beyond a value: oxygen flow, inspired fraction."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Codes of a diagnosis: ICD-10 by their beginning, SNOMED CT exactly. now: only while it is active."""

    icd10: tuple[str, ...]
    snomed: tuple[str, ...] = ()
    now: bool = False


def _is(icd10: str, snomed: str = "", *, now: bool = False) -> Diagnosis:
    return Diagnosis(tuple(icd10.split()), tuple(snomed.split()), now)


_DIABETES = "44054006 46635009 73211009"
_LIVER = "K70.0 K70.1 K70.2 K70.3 K70.9 K71.3 K71.4 K71.5 K71.7 K73 K74 K76.0 B18"

DIAGNOSES: Final[Mapping[str, Diagnosis]] = MappingProxyType(
    {
        "pregnant": _is("Z33 Z34 O0 O1 O2 O3 O4", "77386006 72892002", now=True),
        "cardiovascular_disease": _is(
            "I20 I21 I22 I23 I24 I25 I50 I63 I64 I70", "53741008 414545008 22298006 230690007"
        ),
        "heart_failure": _is("I50 I11.0 I13.0 I13.2", "84114007 88805009 42343007"),
        "hypertension": _is("I10 I11 I12 I13 I15", "38341003 59621000"),
        "diabetes": _is("E10 E11 E12 E13 E14", _DIABETES),
        "stroke_tia_embolism": _is("I63 I64 G45 I74 I69.3", "230690007 266257000"),
        "stroke": _is("I60 I61 I63 I64 I69", "230690007"),
        "vascular_disease": _is("I21 I22 I25.2 I70 I73.9", "22298006 399957001 400047006"),
        "previous_pe_or_dvt": _is("I26 I80 I82 Z86.71", "59282003 128053003"),
        "previous_dvt": _is("I80 I82 Z86.718", "128053003"),
        "atrial_fibrillation": _is("I48", "49436004 282825002 440059007"),
        "myocardial_infarction": _is("I21 I22 I25.2", "22298006 399211009 401303003 401314000"),
        "peripheral_vascular_disease": _is("I70 I71 I73 I77.1 K55.1", "399957001 400047006"),
        "cerebrovascular_disease": _is("G45 G46 I6", "230690007 62914000 266257000"),
        "dementia": _is("F00 F01 F02 F03 G30", "52448006 26929004"),
        "chronic_pulmonary_disease": _is("J40 J41 J42 J43 J44 J45 J46 J47 J6", "13645005 195967001 87433001 185086009"),
        "connective_tissue_disease": _is("M05 M06 M32 M33 M34", "69896004 55464009"),
        "peptic_ulcer": _is("K25 K26 K27 K28", "13200003"),
        "mild_liver_disease": _is(_LIVER, "19943007"),
        "severe_liver_disease": _is("I85 K72 K76.6 K76.7 K70.4", "59927004 34742003"),
        "diabetes_with_damage": _is(
            "E10.2 E10.3 E10.4 E10.5 E11.2 E11.3 E11.4 E11.5 E13.2 E13.3 E13.4", "127013003 422034002 368581000119106"
        ),
        "hemiplegia": _is("G81 G82", "50582007"),
        "renal_disease": _is("N18.3 N18.4 N18.5 N18.6 N19 Z99.2", "433144002 431857002 433146000 46177005"),
        "solid_tumour": _is(
            "C0 C1 C2 C3 C40 C41 C43 C45 C46 C47 C48 C49 C5 C6 C70 C71 C72 C73 C74 C75 C76", "254837009"
        ),
        "leukaemia": _is("C91 C92 C93 C94 C95", "93143009"),
        "lymphoma": _is("C81 C82 C83 C84 C85 C88", "118600007"),
        "metastatic_tumour": _is("C77 C78 C79", "128462008"),
        "aids": _is("B20 B21 B22 B24", "62479008"),
        "preeclampsia": _is("O14 O15 O11", "398254007 46764007", now=True),
        "multifetal": _is("O30", "16356006", now=True),
        "chronic_hypertension": _is("I10 I11 I12 I13 I15 O10", "38341003 59621000"),
        "pregestational_diabetes": _is("E10 E11 O24.0 O24.1", "44054006 46635009"),
        "autoimmune_disease": _is("M32 D68.61", "55464009 26843008"),
    }
)

MEDICINES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "bp_treated": ("C02", "C03", "C07", "C08", "C09"),
        "on_thyroxine": ("H03AA",),
        "statin": ("C10AA", "C10BA", "C10BX"),
        "antiplatelet_or_nsaid": ("B01AC", "M01A"),
    }
)
"""ATC codes of treatments, by their beginning."""
