"""Panels: whether results that are single all right are unusual together, by an isolation forest.

Isolation forest: https://doi.org/10.1109/ICDM.2008.17 (Liu 2008). The graph is run by onnxruntime.
"""

import hashlib
import importlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from fhir_ai.models.errors import ModelUnavailable

_HOME: Final = Path(__file__).parent / "panels"


@dataclass(frozen=True, slots=True)
class Unusual:
    """What a forest says. score: 0 to 1, the higher, the easier the results are told from all others."""

    score: float
    threshold: float
    version: str

    @property
    def flagged(self) -> bool:
        """Whether it is at the threshold or above."""
        return self.score >= self.threshold


class Panel:
    """One forest: its analytes in the order of its columns; the file is read, held to its hash and loaded once.

    Raises:
        ModelUnavailable: the manifest is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            said: Mapping[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            self.name, self.version, self.title = str(said["name"]), str(said["version"]), str(said["title"])
            self.analytes = tuple(str(each) for each in said["analytes"])
            self.threshold, self.minimum_age = float(said["threshold"]), float(said["minimum_age"])
            self._file, self._sha256 = str(said["file"]), str(said["sha256"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelUnavailable(f"the manifest of the panel {folder.name!r} is missing or damaged") from error
        self._loading = threading.Lock()
        self._session: Any = None

    def score(self, values: Mapping[str, float]) -> Unusual:
        """Score the results of a panel, in the units of the analytes.

        Raises:
            ModelUnavailable: file, hash or onnxruntime is at fault.
        """
        with self._loading:
            if self._session is None:
                self._session = _session(self.name, self._checked())
        numpy = importlib.import_module("numpy")
        row = numpy.asarray([[values[name] for name in self.analytes]], dtype=numpy.float32)
        try:
            (answer,) = self._session.run(["score"], {"values": row})
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise ModelUnavailable(f"onnxruntime failed in the panel {self.name!r}") from error
        return Unusual(float(answer.ravel()[0]), self.threshold, self.version)

    def _checked(self) -> bytes:
        try:
            content = (self.folder / self._file).read_bytes()
        except OSError as error:
            raise ModelUnavailable(f"the file of the panel {self.name!r} cannot be read") from error
        if hashlib.sha256(content).hexdigest() != self._sha256:
            raise ModelUnavailable(f"the file of the panel {self.name!r} is refused: its SHA-256 is not the manifest's")
        return content


@cache
def panels(home: Path = _HOME) -> tuple[Panel, ...]:
    """Return the panels beside this file; one with a damaged manifest is left out."""
    found = []
    for path in sorted(home.glob("*/manifest.json")):
        try:
            found.append(Panel(path.parent))
        except ModelUnavailable:
            continue
    return tuple(found)


def _session(name: str, content: bytes) -> Any:
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ModelUnavailable(f"the panel {name!r} needs onnxruntime: install fhir-server[ai]") from error
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise ModelUnavailable(f"onnxruntime refuses the file of the panel {name!r}") from error
