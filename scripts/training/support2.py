"""SUPPORT2: the patients, the outcome, and the columns of the 30-day mortality model.

Source: Knaus et al. 1995, Ann Intern Med 122:191 (https://doi.org/10.7326/0003-4819-122-3-199502010-00007);
variables: https://hbiostat.org/data/repo/supportdesc
"""

import pickle
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.training.study import YES_NO, Column, Numbers, Patients, Study, file_of

BUN_TO_UREA = 0.357  # mg/dL of urea nitrogen to mmol/L of urea
GROUPS = {
    "arf-mosf-sepsis": "ARF/MOSF w/Sepsis",
    "chf": "CHF",
    "copd": "COPD",
    "lung-cancer": "Lung Cancer",
    "mosf-malignancy": "MOSF w/Malig",
    "coma": "Coma",
    "colon-cancer": "Colon Cancer",
    "cirrhosis": "Cirrhosis",
}


# The file has SUPPORT's own coma score (0 to 100), whose table from the Glasgow scale is not published with it: its two
# ends are taken as 15 and 3, and all between as one level, so that a bedside Glasgow score can be used.
_COMA = ((15.0, 15.0, 0.0), (4.0, 14.0, 1.0), (3.0, 3.0, 2.0))

COLUMNS = (
    Column("age", "num_age", "Age", "a", (18, 102), True),
    Column("sex", "fac_sex", "Sex", levels={"female": 0.0, "male": 1.0}, required=True),
    Column(
        "disease_group",
        "fac_dzgroup",
        "Disease group of SUPPORT",
        levels={name: float(at) for at, name in enumerate(GROUPS)},
        required=True,
    ),
    Column("gcs", "num_scoma", "Glasgow coma scale", "{score}", (3, 15), True, bands=_COMA),
    Column("mean_arterial_pressure", "num_meanbp", "Mean arterial pressure", "mm[Hg]", (0, 195), True),
    Column("heart_rate", "num_hrt", "Heart rate", "/min", (0, 300), True),
    Column("respiratory_rate", "num_resp", "Respiratory rate", "/min", (0, 90), True),
    Column("temperature", "num_temp", "Body temperature", "Cel", (31, 42), True),
    Column("sodium", "num_sod", "Sodium", "mmol/L", (110, 181), True),
    Column("creatinine", "num_crea", "Creatinine in serum", "mg/dL", (0.05, 22), True),
    Column("wbc", "num_wblc", "White blood cells", "10*3/uL", (0, 200), True),
    Column("pao2_fio2", "num_pafi", "PaO2/FiO2", "mm[Hg]", (12, 900)),
    Column("arterial_ph", "num_ph", "Arterial pH", "[pH]", (6.8, 7.8)),
    Column("albumin", "num_alb", "Albumin in serum", "g/dL", (0.3, 7)),
    Column("bilirubin", "num_bili", "Total bilirubin", "mg/dL", (0.05, 63)),
    Column("urea", "num_bun", "Urea in serum", "mmol/L", (0.3, 108)),
    Column("random_glucose", "num_glucose", "Plasma glucose at any time", "mg/dL", (10, 1100)),
    Column("urine_24h", "num_urine", "Urine output in 24 hours", "mL", (0, 9000)),
    Column("hospital_day", "num_hday", "Day in hospital (1: admitted today)", "d", (1, 148)),
    Column("comorbidities", "num_num_co", "Number of comorbidities", "{count}", (0, 9)),
    Column("cancer", "fac_ca", "Cancer", levels={"no": 0.0, "yes": 1.0, "metastatic": 2.0}),
    Column("diabetes", "fac_diabetes", "Diabetes", levels=YES_NO),
    Column("dementia", "fac_dementia", "Dementia", levels=YES_NO),
)


LIMITS = (
    "Not validated outside SUPPORT2, and not a medical device: validate it on local patients before use.",
    "The patients were treated more than 30 years ago; survival of sepsis, cancer and heart failure has changed since.",
    "SUPPORT's own published score orders the same patients better. Part of them are those it was developed on, which "
    "flatters it.",
    "It is about seriously ill adult inpatients of eight disease groups on about day three; it is not computed for "
    "anybody else, so not for outpatients, children, trauma, pregnancy or elective surgery.",
    "Laboratory values were missing because nobody ordered them, and the model learnt from that; where a record misses "
    "them for another reason its figures do not hold. Every missing input is named in the prediction.",
    "Urea, glucose and urine output are missing for half of the patients, in stretches of the file: probably one phase "
    "of the study did not collect them.",
    "SUPPORT's coma score was coarsened to Glasgow 15, 4 to 14 and 3, because its table does not come with the data. "
    "That its ends are 15 and 3 is our reading. It cost 0.004 of AUROC in a trial on another split.",
    "Activities of daily living were left out: what they add is almost wholly whether anybody could be asked, which "
    "depends on how ill the patient was in the days after. Orders not to resuscitate were left out: they follow from "
    "the prognosis. The table of what was left out has their figures: an AUROC of 0.783 takes such columns.",
    "At the threshold of the table about half of the patients are flagged: it ranks, and should raise no alert.",
    "Race, income, education and orders not to resuscitate are no inputs. Race is used to audit the model alone.",
    "Groups with under 100 patients in the table have figures too uncertain to compare.",
)

DATA = {
    "name": "SUPPORT2: Study to Understand Prognoses and Preferences for Outcomes and Risks of Treatments",
    "citation": "Knaus WA, Harrell FE, Lynn J, et al. The SUPPORT prognostic model: objective estimates of survival "
    "for seriously ill hospitalized adults. Ann Intern Med 1995;122:191-203. "
    "https://doi.org/10.7326/0003-4819-122-3-199502010-00007",
    "source": "Vanderbilt University, https://hbiostat.org/data (also data set 880 of the UCI repository), "
    "as packaged in SurvSet 0.2.11",
    "licence": "Public data for research and teaching, de-identified by its authors. Neither the terms of Vanderbilt's "
    "copy nor those of the UCI copy (said to be CC BY 4.0) were verified by us. No patient's row is in this project.",
    "where_and_when": "five teaching hospitals in the USA, 1989 to 1994",
}

COHORT = (
    "seriously ill adult inpatients of eight disease groups (acute respiratory failure or multiple organ failure with "
    "sepsis or malignancy, heart failure, COPD, cirrhosis, non-traumatic coma, lung cancer, metastatic colon cancer)"
)
MANIFEST = {
    "name": "support2-30d",
    "version": "1.1.0",
    "title": "30-day mortality of seriously ill inpatients (SUPPORT2)",
    "outcome": "death of any cause within 30 days of study entry",
    "horizon": 30,
    "minimum_age": 18,
    "maximum_age": 102,
    "cohort": COHORT,
    "kind": "risk",
    "setting": "inpatient",
    "classes": ["survives", "dies"],
    "fallback": ["sofa", "news2"],
    "label": "death",
}


def study() -> Study:
    """Return the study."""
    return Study(
        folder="support2",
        manifest=MANIFEST,
        columns=COLUMNS,
        patients=read(),
        data=DATA,
        packages=("SurvSet",),
        limits=LIMITS,
        event="deaths",
        sensitivity=0.70,
        comparison="The published score is better than this model.",
        pairs=10,
    )


def read() -> Patients:
    """Read the patients from the installed package; those without day-3 vital signs are left out."""
    frame = _frame()
    whole = frame["num_scoma"].notna() & frame["num_meanbp"].notna()
    kept = frame[whole].reset_index(drop=True)
    return Patients(
        features={each.name: _numbers(each, kept) for each in COLUMNS},
        died=((kept["event"] == 1) & (kept["time"] <= 30)).to_numpy(float),
        ids=kept["pid"].to_numpy(float),
        others={
            "surv2m": (
                "SUPPORT's own estimate of 2-month survival, as a ranking",
                1 - kept["num_surv2m"].to_numpy(float),
            ),
            "surv6m": (
                "SUPPORT's own estimate of 6-month survival, as a ranking",
                1 - kept["num_surv6m"].to_numpy(float),
            ),
            "sps": ("SUPPORT physiology score", kept["num_sps"].to_numpy(float)),
        },
        groups=_groups(kept),
        left_out=f"{int((~whole).sum())} patients of {len(frame):,} without day-3 vital signs were left out.",
        tried=_tried(kept),
    )


def _tried(frame: Any) -> dict[str, dict[str, Numbers]]:
    """Columns of the file that are no inputs, for the table that says what they would have given."""
    surrogate, patient = frame["num_adls"].to_numpy(float), frame["num_adlp"].to_numpy(float)
    either = np.where(np.isnan(surrogate), patient, surrogate)
    asked = {"asked_s": np.isnan(surrogate).astype(float), "asked_p": np.isnan(patient).astype(float)}
    return {
        "the whole coma score in place of three steps": {"gcs": frame["num_scoma"].to_numpy(float)},
        "activities of daily living, by patient and by surrogate": {"adls": surrogate, "adlp": patient},
        "activities of daily living, either of the two": {"adl": either},
        "only whether anybody was asked about them": asked,
        "race and income": {"race": _codes(frame["fac_race"]), "income": _codes(frame["fac_income"])},
        "orders not to resuscitate": {"dnr": _codes(frame["fac_dnr"])},
    }


def _codes(column: Any) -> Numbers:
    found: Numbers = np.unique(column.astype(str), return_inverse=True)[1].astype(float)
    return found


def _frame() -> Any:
    path = file_of("SurvSet", "resources", "pickles", "support2.pickle")
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the file was written with names that numpy has left
        return pickle.load(stream)


def _numbers(column: Column, frame: Any) -> Numbers:
    source = frame[column.source]
    if column.name == "disease_group":
        named = {label: column.levels[name] for name, label in GROUPS.items()}
        return np.array([named[each] for each in source])
    if column.levels is YES_NO:
        return source.astype(int).to_numpy(float)
    if column.levels:
        return np.array([column.levels[each] for each in source])
    numbers: Numbers = source.to_numpy(float)
    if column.bands:
        return np.where(numbers == 0, 0.0, np.where(numbers == 100, 2.0, 1.0))
    numbers = numbers * BUN_TO_UREA if column.name == "urea" else numbers
    low, high = column.limits
    return np.where((numbers >= low) & (numbers <= high), numbers, np.nan)


def _groups(frame: Any) -> dict[str, npt.NDArray[Any]]:
    age = frame["num_age"].to_numpy(float)
    bands = np.array(["under 50", "50-64", "65-79", "80 and over"])
    return {
        "sex": frame["fac_sex"].to_numpy(str),
        "age": bands[np.digitize(age, [50, 65, 80])],
        "race": frame["fac_race"].to_numpy(str),
        "disease group": frame["fac_dzgroup"].to_numpy(str),
    }
