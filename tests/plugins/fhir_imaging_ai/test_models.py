"""Only a model that is what its manifest, card and signature say is used."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fhir_ai.models.signing import new_key, sign, statement
from fhir_imaging_ai.looking.triage import Runner
from fhir_imaging_ai.models.loading import found, loaded, shipped
from fhir_imaging_ai.models.manifest import ModelRefused


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, str]:
    """A model of the site: the shipped one under another name, signed with a key of the site."""
    folder = tmp_path / "mine"
    shutil.copytree(shipped() / "synthetic_nodules", folder)
    manifest = json.loads((folder / "manifest.json").read_text()) | {"name": "mine", "version": "2"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    private, public = new_key()
    parts = [(folder / name).read_bytes() for name in ("model.onnx", "manifest.json", "card.json")]
    signature = sign(statement("mine", "2", parts), private)
    (folder / "signature.json").write_text(json.dumps({"key": signature.key, "value": signature.value}))
    return folder, public


def test_a_model_of_the_site_is_used_when_its_key_is_trusted(own: tuple[Path, str]) -> None:
    folder, public = own
    model = Runner(found("mine", str(folder.parent), (public,)))
    assert model.manifest.version == "2"
    assert model.card["clinical_validity"] == "none"


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "card.json"])
def test_a_changed_file_is_noticed(own: tuple[Path, str], name: str) -> None:
    folder, public = own
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content + (b"\n" if name != "model.onnx" else b"x"))
    with pytest.raises(ModelRefused, match=r"changed after it was signed|not the one that its manifest names"):
        loaded(folder, (public,))


def test_a_new_hash_in_the_manifest_does_not_help(own: tuple[Path, str]) -> None:
    folder, public = own
    (folder / "model.onnx").write_bytes(b"another")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256(b"another").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelRefused, match="changed after it was signed"):
        loaded(folder, (public,))


def test_strangers_keys_and_missing_signatures_are_refused(own: tuple[Path, str]) -> None:
    folder, _ = own
    with pytest.raises(ModelRefused, match="not trusted here"):
        loaded(folder, (base64.b64encode(b"k" * 32).decode(),))
    (folder / "signature.json").unlink()
    with pytest.raises(ModelRefused, match="not signed"):
        loaded(folder, ())


def test_an_unknown_name_says_what_to_do() -> None:
    with pytest.raises(ModelRefused, match="setting folder"):
        found("nothing", "", ())


def test_the_card_of_the_shipped_model_promises_nothing() -> None:
    model = found("synthetic-nodules", "", ())
    assert model.manifest.demonstration
    assert model.card["clinical_validity"] == "none"
    assert 0.7 < model.card["figures"]["auroc"]["value"] < 1


def test_nothing_heavy_is_imported_with_the_plugin() -> None:
    heavy = ("pydicom", "numpy", "highdicom", "onnxruntime", "PIL", "imagecodecs")
    code = f"import sys, fhir_imaging_ai.plugin; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
