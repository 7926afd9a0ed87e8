"""Small models for the tests of the registry: packages of two inputs, signed by a key of the test."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from fhir_ai.models.signing import Signature, new_key, sign, statement

HERE = Path(__file__).parent
PRIVATE, PUBLIC = new_key()
NAME = "tiny"


def manifest(graph: bytes, **changes: Any) -> dict[str, Any]:
    """Return the manifest of a graph that takes age and creatinine."""
    features = [_feature("age", "Age", "a", 0, 120, True), _feature("creatinine", "Creatinine", "mg/dL", 0.05, 22)]
    return {
        "name": NAME, "version": "1.0.0", "title": "Tiny", "outcome": "death within 30 days", "horizon": 30,
        "file": "model.onnx", "sha256": hashlib.sha256(graph).hexdigest(), "intercept": -2.0, "threshold": 0.4,
        "conformal": 0.7, "minimum_age": 18, "maximum_age": 102, "cohort": "adults of the tests", "kind": "risk",
        "setting": "any", "classes": ["survives", "dies"], "fallback": ["ckd_epi_2021"], "features": features,
        **changes,
    }  # fmt: skip


def parts(
    graph: bytes | None = None, *, key: str = PRIVATE, said: bytes | None = None, card: Any = None, **changes: Any
) -> list[Any]:
    """Return the parameters of `$model-register`; `said` is signed in place of what is right."""
    content = graph if graph is not None else (HERE / "one.onnx").read_bytes()
    made = manifest(content, **changes)
    text, told = json.dumps(made), json.dumps(card or {"name": made["name"], "title": "Tiny"})
    right = statement(made["name"], made["version"], (content, text.encode(), told.encode()))
    signature: Signature = sign(said or right, key)
    files = {"manifest": text.encode(), "card": told.encode(), "file": content}
    return [
        *({"name": name, "valueBase64Binary": base64.b64encode(raw).decode()} for name, raw in files.items()),
        {"name": "signature", "valueString": json.dumps({"key": signature.key, "value": signature.value})},
    ]


def write(folder: Path, **changes: Any) -> Path:
    """Write the files of a model, unsigned, into a folder."""
    content = (HERE / "one.onnx").read_bytes()
    folder.mkdir()
    (folder / "model.onnx").write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest(content, **changes)))
    (folder / "card.json").write_text("{}")
    return folder


def _feature(name: str, title: str, unit: str, low: float, high: float, required: bool = False) -> dict[str, Any]:
    return {
        "name": name, "title": title, "unit": unit, "low": low, "high": high, "required": required, "levels": {},
        "bands": [], "codes": [],
    }  # fmt: skip
