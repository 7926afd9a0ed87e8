"""A model whose file, runtime or time is at fault: named, refused, and nothing else is touched."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from fhir_ai import models
from fhir_ai.models import (
    MODELS,
    Model,
    ModelUnavailable,
    NotComputed,
    Prediction,
    models_in,
    package_in,
    read_manifest,
)
from fhir_ai.models.inference import Output

from tests.plugins.fhir_ai.models.patients import ill

SHIPPED = MODELS["support2-30d"]
FOLDER = Path(models.__file__).parent / "support2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "support2"
    shutil.copytree(FOLDER, copy)
    return copy


def attempted(folder: Path) -> NotComputed:
    answer = Model(package_in(folder)).attempt(ill(), timeout=30)
    assert isinstance(answer, NotComputed)
    assert answer.kind == "unavailable"
    return answer


def test_a_file_with_another_hash_is_refused_by_name(folder: Path) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[-1] ^= 1
    (folder / "model.onnx").write_bytes(content)
    reason = attempted(folder).reason
    assert "'support2-30d' is refused" in reason
    assert SHIPPED.manifest.sha256[:12] in reason


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    assert "file of the model 'support2-30d' cannot be read" in attempted(folder).reason


def test_a_file_that_comes_back_serves_again(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "away")
    model = Model(package_in(folder))
    assert isinstance(model.attempt(ill(), timeout=30), NotComputed)
    (folder / "away").rename(folder / "model.onnx")
    assert isinstance(model.attempt(ill(), timeout=30), Prediction)


def test_a_corrupt_file_whose_hash_holds_is_refused_by_onnxruntime(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a graph")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256(b"not a graph").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "onnxruntime refuses the file of the model 'support2-30d'" in attempted(folder).reason


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"name": "x"}', '{"features": [1]}'])
def test_a_damaged_manifest_is_left_out_and_the_others_serve(
    folder: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(folder, folder.parent / "damaged")
    (folder.parent / "damaged" / "manifest.json").write_text(content)
    assert list(models_in(folder.parent)) == ["support2-30d"]
    assert "'damaged'" in caplog.text


@pytest.mark.parametrize(
    "change",
    [{"threshold": "high"}, {"file": "../model.onnx"}, {"features": []}, {"intercept": None}, {"surprise": 1}],
    ids=str,
)
def test_a_manifest_that_says_nonsense_is_no_manifest(folder: Path, change: dict[str, object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **change}))
    with pytest.raises(ModelUnavailable, match="manifest of the model 'support2' is damaged"):
        read_manifest(folder)


def test_a_manifest_of_another_graph_is_a_degraded_answer(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["features"].pop()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "onnxruntime failed" in attempted(folder).reason


async def test_a_slow_model_holds_no_other_request_up() -> None:
    slow = Slow()
    model = Model(SHIPPED.package, graph=lambda name, content: slow)
    asking = asyncio.create_task(model.ask(ill(), within=30))
    await asyncio.sleep(0.05)
    assert not asking.done()
    slow.go.set()
    assert isinstance(await asking, Prediction)


def test_a_missing_or_damaged_card_is_said(folder: Path) -> None:
    (folder / "card.json").write_text("{")
    with pytest.raises(ModelUnavailable, match="card of the model 'support2-30d'"):
        Model(package_in(folder)).card()


class Slow:
    """A graph that waits until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, columns: Sequence[float]) -> Output:
        self.go.wait(30)
        return Output(0.5, tuple(0.0 for _ in SHIPPED.manifest.terms))


def test_a_slow_model_costs_its_timeout_and_serves_again_when_it_recovers() -> None:
    slow = Slow()
    model = Model(SHIPPED.package, graph=lambda name, content: slow)
    began = time.monotonic()
    answers = [model.attempt(ill(), timeout=0.05) for _ in range(4)]
    assert time.monotonic() - began < 5
    assert all(isinstance(each, NotComputed) and each.kind == "unavailable" for each in answers)
    assert isinstance(answers[0], NotComputed)
    assert "took longer than 0.05 s" in answers[0].reason
    assert isinstance(answers[-1], NotComputed)
    assert "held by runs that are too slow" in answers[-1].reason
    slow.go.set()
    assert isinstance(model.attempt(ill(), timeout=30), Prediction)


@pytest.mark.parametrize(
    "output", [Output(float("nan"), (0.0,) * 23), Output(0.4, (0.0,) * 3)], ids=["no-number", "other-terms"]
)
def test_an_answer_that_is_none_is_not_passed_on(output: Output) -> None:
    model = Model(SHIPPED.package, graph=lambda name, content: lambda columns: output)
    answer = model.attempt(ill(), timeout=30)
    assert isinstance(answer, NotComputed)
    assert "gave no probability" in answer.reason


def test_an_error_within_the_runtime_is_a_degraded_answer() -> None:
    def broken(columns: Sequence[float]) -> Output:
        raise RuntimeError("out of memory")

    model = Model(SHIPPED.package, graph=lambda name, content: broken)
    answer = model.attempt(ill(), timeout=30)
    assert isinstance(answer, NotComputed)
    assert answer.reason == "onnxruntime failed in the model 'support2-30d'"


def test_without_onnxruntime_the_answer_says_what_to_install_and_the_import_still_works() -> None:
    # a process of its own: a module that is there cannot be taken out of this one without harm to other tests
    program = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from fhir_ai.models import MODELS\n"
        "from tests.plugins.fhir_ai.models.patients import ill\n"
        "print(MODELS['support2-30d'].attempt(ill(), timeout=30).reason)\n"
    )
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "the model 'support2-30d' needs onnxruntime: install fhir-server[ai]", done.stderr


def test_importing_the_models_loads_no_runtime() -> None:
    program = "import sys, fhir_ai.models; print('onnxruntime' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.split()[0] == "False", done.stderr
