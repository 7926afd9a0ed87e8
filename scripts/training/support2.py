"""SUPPORT2: the patients, the outcome, and the columns of the 30-day mortality model.

Source: Knaus et al. 1995, Ann Intern Med 122:191 (https://doi.org/10.7326/0003-4819-122-3-199502010-00007);
variables: https://hbiostat.org/data/repo/supportdesc
"""

import importlib.util
import pickle
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

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
YES_NO = {"false": 0.0, "true": 1.0}


@dataclass(frozen=True)
class Column:
    """A feature: its name in the server, its column in the file, its limits there and its unit."""

    name: str
    source: str
    title: str
    unit: str = ""
    limits: tuple[float, float] = (0.0, 1.0)
    required: bool = False
    levels: dict[str, float] = field(default_factory=dict)
    bands: tuple[tuple[float, float, float], ...] = ()


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


@dataclass(frozen=True)
class Patients:
    """Columns as the model takes them (NaN: missing), the outcome, SUPPORT's own scores, and groups for the audit."""

    features: dict[str, Numbers]
    died: Numbers
    ids: Numbers
    published: dict[str, Numbers]
    groups: dict[str, npt.NDArray[Any]]

    def matrix(self) -> Numbers:
        """Rows of the features in the order of COLUMNS."""
        return np.column_stack([self.features[each.name] for each in COLUMNS])


def read() -> tuple[Patients, int]:
    """Read the patients from the installed package; with the number of those left out for having no day-3 vitals."""
    frame = _frame()
    whole = frame["num_scoma"].notna() & frame["num_meanbp"].notna()
    kept = frame[whole].reset_index(drop=True)
    patients = Patients(
        features={each.name: _numbers(each, kept) for each in COLUMNS},
        died=((kept["event"] == 1) & (kept["time"] <= 30)).to_numpy(float),
        ids=kept["pid"].to_numpy(float),
        published={
            "surv2m": 1 - kept["num_surv2m"].to_numpy(float),
            "surv6m": 1 - kept["num_surv6m"].to_numpy(float),
            "sps": kept["num_sps"].to_numpy(float),
        },
        groups=_groups(kept),
    )
    return patients, int((~whole).sum())


def _frame() -> Any:
    found = importlib.util.find_spec("SurvSet")  # found, not imported: importing it loads every set of the package
    if found is None or found.origin is None:
        raise SystemExit("The patients come with the package SurvSet: pip install 'fhir-server[training]'")
    path = Path(found.origin).parent / "resources" / "pickles" / "support2.pickle"
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
