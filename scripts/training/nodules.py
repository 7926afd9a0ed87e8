"""Train the demonstration model of imaging: synthetic nodules in texture of real radiographs; of no clinical use.

Usage: python -m scripts.training.nodules [--seed 7] [--pictures 4000] [--rounds 10]
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from fhir_ai.models.signing import new_key, sign, statement
from fhir_imaging_ai.looking.picture import roughness
from sklearn.linear_model import LogisticRegression

from scripts.training import metrics
from scripts.training.nodule_images import SIDE, Sample, drawn
from scripts.training.nodule_network import Weights, evidence, onnx_of, trained

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "plugins" / "fhir_imaging_ai" / "models" / "synthetic_nodules"
PAGE = ROOT / "docs" / "ai" / "models" / "synthetic-nodules.md"
ALPHA = 0.1
OUTSIDE = 0.995
LIMITS = (
    "No clinical validity: it has never seen a real nodule, and no patient's image was labelled for it.",
    "It tells discs that a program drew from the texture of two radiographs. It shows how a model is put to work here, "
    "from the image that arrives to the draft that a person reads; use a model of your own for anything else.",
    "The radiographs are two files of pydicom-data; one of them has discs of its own, which were not labelled.",
)
Numbers = npt.NDArray[np.float64]


def main() -> None:
    """Draw, train, calibrate, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=10)
    flags = parser.parse_args()
    weights = fitted(drawn("train", flags.pictures, flags.seed), flags.seed, flags.rounds)
    tuning, test = drawn("tune", 1600, flags.seed + 1), drawn("test", 1000, flags.seed + 2)
    made = calibrated(weights, tuning)
    content = onnx_of(weights, made["head"], made["temperature"])
    manifest = manifest_of(content, made, outside(content, tuning))
    card = card_of(manifest, content, test, flags)
    write(content, manifest, card)
    print(json.dumps(card["figures"], indent=1))


def fitted(sample: Sample, seed: int, rounds: int) -> Weights:
    """Train the network."""
    weights: Weights = {}
    for number, (loss, now) in enumerate(trained(sample.pictures, sample.cells, seed, rounds), 1):
        weights = now
        weights = now
        print(f"round {number}: loss {loss:.4f}", flush=True)
    return weights


def calibrated(weights: Weights, tuning: Sample) -> dict[str, Any]:
    """Fit the head on a third of the tuning pictures, the temperature on another, the conformal quantiles on the last.

    The quantiles are by class (1 - probability of the true class), so that each class is covered by itself.
    """
    third = len(tuning.labels) // 3
    found = evidence(weights, tuning.pictures).astype(np.float64)
    head = LogisticRegression(C=1e4, max_iter=1000).fit(found[:third, None], tuning.labels[:third])
    logits = head.decision_function(found[:, None])
    temperature = _temperature(logits[third : 2 * third], tuning.labels[third : 2 * third])
    chance = 1 / (1 + np.exp(-logits[2 * third :] / temperature))
    rest = tuning.labels[2 * third :]
    quantiles = [_quantile(chance[rest == 0]), _quantile(1 - chance[rest == 1])]
    slope, intercept = float(head.coef_[0, 0]), float(head.intercept_[0])
    return {"head": (slope, intercept), "temperature": temperature, "quantiles": quantiles}


def _temperature(logits: Numbers, labels: npt.NDArray[np.int64]) -> float:
    """The temperature of least cross-entropy (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""
    tried = np.geomspace(0.25, 8, 200)
    signed = np.where(labels == 1, logits, -logits)
    losses = [np.logaddexp(0, -signed / each).mean() for each in tried]
    return float(tried[int(np.argmin(losses))])


def _quantile(scores: Numbers) -> float:
    rank = int(np.ceil((len(scores) + 1) * (1 - ALPHA)))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def outside(content: bytes, tuning: Sample) -> dict[str, Any]:
    """Say what pictures of its kind look like: mean and precision of its features, and how far away is too far."""
    features = run(content, tuning)[1].astype(np.float64)
    half = len(features) // 2
    mean = features[:half].mean(0)
    spread = np.cov(features[:half].T) + 1e-3 * np.eye(features.shape[1])
    precision = np.linalg.inv(spread)
    away = features[half:] - mean
    distance = np.einsum("ij,jk,ik->i", away, precision, away)
    return {
        "mean": np.round(mean, 6).tolist(),
        "precision": np.round(precision, 4).tolist(),
        "most": float(np.quantile(distance, OUTSIDE)) * 1.5,
        "roughness": _roughness(tuning),
    }


def _roughness(tuning: Sample) -> list[float]:
    """The range of most of the pictures, a fifth wider; what is left out are parts of the radiographs that are blank,
    nothing but noise when their deviation is made 1."""
    low, high = np.quantile([roughness(picture[0]) for picture in tuning.pictures], (0.01, 0.95))
    return [round(float(low) * 0.8, 4), round(float(high) * 1.2, 4)]


def run(content: bytes, sample: Sample) -> tuple[Numbers, npt.NDArray[np.float32]]:
    """Return what the file itself says: probability of a nodule, features."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    chance, features = session.run(["probabilities", "features"], {"picture": sample.pictures})
    return np.asarray(chance[:, 1], np.float64), features


def manifest_of(content: bytes, made: dict[str, Any], features: dict[str, Any]) -> dict[str, Any]:
    """Say what the server checks before it computes."""
    return {
        "name": "synthetic-nodules",
        "version": "1.0.0",
        "title": "Synthetic nodules in radiograph texture (demonstration, no clinical validity)",
        "file": "model.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "demonstration": True,
        "input": {"name": "picture", "side": SIDE},
        "outputs": {"probabilities": "probabilities", "activation": "activation", "features": "features"},
        "labels": [
            {"key": "absent", "title": "No synthetic nodule", "priority": "routine"},
            {"key": "present", "title": "Synthetic nodule", "priority": "urgent"},
        ],
        "positive": 1,
        "temperature": made["temperature"],
        "conformal": {"alpha": ALPHA, "quantiles": made["quantiles"]},
        "modalities": ["CR", "DX"],
        "photometric": ["MONOCHROME1", "MONOCHROME2"],
        "least_side": 64,
        "features": features,
    }


def card_of(manifest: dict[str, Any], content: bytes, test: Sample, flags: Any) -> dict[str, Any]:
    """Everything that the card says, from this run."""
    chance, _ = run(content, test)
    labels = test.labels.astype(np.float64)
    low, high = manifest["conformal"]["quantiles"]
    absent, present = chance <= low, 1 - chance <= high
    truth = np.where(labels == 1, present, absent)
    area = metrics.auroc_interval(labels, chance, flags.seed, 300)
    return {
        "name": manifest["name"],
        "version": manifest["version"],
        "title": manifest["title"],
        "clinical_validity": "none",
        "licence": "Apache-2.0, as the server; the radiographs are of pydicom-data (MIT) and are not part of it",
        "bytes": len(content),
        "seed": flags.seed,
        "pictures": {"train": flags.pictures, "tune": 1600, "test": 1000},
        "figures": {
            "auroc": {"value": area.value, "low": area.low, "high": area.high},
            "brier": metrics.brier(labels, chance),
            "coverage": float(truth.mean()),
            "one_label": float((absent ^ present).mean()),
            "two_labels": float((absent & present).mean()),
            "no_label": float((~absent & ~present).mean()),
        },
        "limits": list(LIMITS),
    }


def write(content: bytes, manifest: dict[str, Any], card: dict[str, Any]) -> None:
    """Write what the server ships, signed with a key that is thrown away, and the page."""
    MODEL.mkdir(parents=True, exist_ok=True)
    texts = [json.dumps(each, indent=1) + "\n" for each in (manifest, card)]
    (MODEL / "model.onnx").write_bytes(content)
    for name, text in zip(("manifest.json", "card.json"), texts, strict=True):
        (MODEL / name).write_text(text, encoding="utf-8")
    private, public = new_key()
    said = statement(manifest["name"], manifest["version"], (content, *(text.encode() for text in texts)))
    signature = sign(said, private)
    told = {"algorithm": "Ed25519", "key": signature.key, "value": signature.value}
    (MODEL / "signature.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    (MODEL.parent / "release.json").write_text(json.dumps({"key": public}) + "\n", encoding="utf-8")
    PAGE.write_text(page(manifest, card), encoding="utf-8")


def page(manifest: dict[str, Any], card: dict[str, Any]) -> str:
    """The card as a page."""
    figures, area = card["figures"], card["figures"]["auroc"]
    limits = "\n".join(f"- {limit}" for limit in card["limits"])
    return f"""# {manifest["title"]}

**No clinical validity.** Made by `python -m scripts.training.nodules`; do not edit.

A convolutional network of three layers and {card["bytes"]:,} bytes. Its class map is both where it looks (the class
activation map) and, averaged over the picture, what it says. Temperature {manifest["temperature"]:.2f}, conformal sets
at {1 - manifest["conformal"]["alpha"]:.0%}, by class.

| on {card["pictures"]["test"]} pictures of tissue that it never saw | |
|---|---|
| AUROC (95 % interval) | {area["value"]:.3f} ({area["low"]:.3f} to {area["high"]:.3f}) |
| Brier score | {figures["brier"]:.3f} |
| the true label is in the set | {figures["coverage"]:.1%} |
| one label: prioritised | {figures["one_label"]:.1%} |
| two labels: a person decides | {figures["two_labels"]:.1%} |
| no label: refused | {figures["no_label"]:.1%} |

Limits:
{limits}

Licence: {card["licence"]}.
"""


if __name__ == "__main__":
    main()
